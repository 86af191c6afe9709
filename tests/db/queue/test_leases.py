"""Leases: renewed by a live worker, released or expired otherwise."""

from __future__ import annotations

from curate.db.queue.leases import EXPIRED, holders, renew
from tests.pipelines import Line, make_line


def test_renewing_keeps_others_away_and_a_lost_row_stays_lost(line: Line) -> None:
    line.put_clips(1, "score")
    held = line.claim("score", "slow", lease_seconds=0.0)
    assert held is not None
    assert renew(line.engine, held) == 1
    line.expire("slow")
    taken = line.claim("score", "fast")
    assert taken is not None
    assert renew(line.engine, held) == 0


def test_giving_back_leaves_no_trace(line: Line) -> None:
    line.put_clips(3, "score")
    held = line.claim("score")
    assert held is not None
    line.release(held.request.owner)
    assert line.rows("SELECT DISTINCT owner, lease_until, claim_size, attempts FROM clips") == [
        (None, 0.0, 0, 0)
    ]


def test_holders_names_who_works(line: Line) -> None:
    line.put_clips(2, "score")
    line.claim("score", "me")
    found = holders(line.engine, line.dataset.id, line.pipeline)
    assert list(found) == ["me"]
    assert found["me"] > EXPIRED
    assert line.expire("me") == 2
    assert holders(line.engine, line.dataset.id, line.pipeline) == {}


def test_leases_are_ended_in_one_dataset_alone(database_url: str, home: object) -> None:
    lines = [make_line(database_url, home, ["score"], name) for name in ("a", "b", "c")]
    for line in lines:
        line.put_clips(2, "score")
        assert line.claim("score", "dead")
    assert [line.expire("dead") for line in lines[:2]] == [2, 2]
    held = [len(holders(line.engine, line.dataset.id, line.pipeline)) for line in lines]
    assert held == [0, 0, 1]


def test_giving_back_without_a_crash_does_not_forget_earlier_crashes(line: Line) -> None:
    line.put_clips(1, "score")
    for n in range(2):
        held = line.claim("score", f"o{n}")
        assert held is not None
        (line.expire if n == 0 else line.release)(held.request.owner)
    assert line.rows("SELECT attempts FROM clips") == [(1,)]
