"""Saving: guarded by the owner, with the filters' verdicts in the same transaction."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from curate.configs.schema import Order
from curate.db.queue.leases import Claim, expire
from curate.db.save.batch import Findings, quoted, save, taken_since
from curate.tasks.stage import NewClip
from tests.pipelines import Line, make_line, writer

ORDER = Order(number="dedup_seq", recalled=("duplicate", "hash_first", "hash_middle"))


def held(line: Line, stage: str, owner: str = "me") -> Claim:
    claim = line.claim(stage, owner)
    assert claim is not None
    return claim


def keep(line: Line, claim: Claim, findings: Findings) -> int:
    return save(line.engine, claim, findings, writer())


def test_scores_are_written_and_filters_decide(line: Line) -> None:
    a, b = line.put_clips(2, "score")
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE clips SET num_frames = 9"))
    claim = held(line, "score")
    assert keep(line, claim, Findings(scores={a: {"score": 1.5}, b: {"score": 2.0}})) == 2
    rows = line.rows(
        "SELECT id, score, stage, status, reason, owner, lease_until FROM clips ORDER BY id"
    )
    assert rows == [
        (a, 1.5, "inorder", "dropped", "good", None, 0.0),
        (b, 2.0, "inorder", "active", None, None, 0.0),
    ]


def test_null_does_not_pass(line: Line) -> None:
    (a,) = line.put_clips(1, "score")
    keep(line, held(line, "score"), Findings(scores={a: {"score": None}}))
    assert line.rows("SELECT status, reason FROM clips") == [("dropped", "some")]


def test_the_first_filter_not_passed_is_the_reason(line: Line) -> None:
    (a,) = line.put_clips(1, "score")
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE clips SET num_frames = 1"))
    keep(line, held(line, "score"), Findings(scores={a: {"score": 0.0}}))
    assert line.rows("SELECT reason FROM clips") == [("some",)]


def test_a_worker_that_lost_its_lease_writes_nothing(line: Line) -> None:
    a, b = line.put_clips(2, "score")
    slow = held(line, "score", "slow")
    expire(line.engine, line.dataset.id, ["slow"])
    fast = held(line, "score", "fast")
    assert len(fast.rows) == 1
    assert keep(line, slow, Findings(scores={i: {"score": 9.0} for i in (a, b)})) == 1
    (lost,) = fast.ids
    assert line.rows("SELECT score, owner FROM clips WHERE id=:i", i=lost) == [(None, "fast")]


def test_a_failed_row_says_why_and_takes_no_other_along(line: Line) -> None:
    a, b = line.put_clips(2, "score")
    findings = Findings(scores={a: {"score": 3.0}}, failed={b: ("Unreadable", "cannot open")})
    keep(line, held(line, "score"), findings)
    assert line.rows("SELECT status, reason, error, stage FROM clips WHERE id=:i", i=b) == [
        ("failed", "Unreadable", "cannot open", "score")
    ]
    assert line.rows("SELECT n_ok, n_failed, stage, worker, version FROM batches") == [
        (1, 1, "score", "worker", "0")
    ]


def test_the_clips_of_a_video_enter_behind_the_filters_of_split(line: Line) -> None:
    line.enqueue("a.mp4")
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE videos SET stage='split'"))
    claim = held(line, "split")
    found = [NewClip(0, 0, 10, {"num_frames": 10}), NewClip(1, 10, 12, {"num_frames": 2})]
    keep(line, claim, Findings(scores={claim.ids[0]: {}}, clips={claim.ids[0]: found}))
    assert line.rows("SELECT clip_index, stage, status, reason FROM clips ORDER BY 1") == [
        (0, "score", "active", None),
        (1, "score", "dropped", "some"),
    ]
    assert line.rows("SELECT stage, status, num_clips FROM videos") == [("done", "kept", 2)]


def test_splitting_again_replaces_the_clips(line: Line) -> None:
    line.put_clips(5, "score")
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE videos SET stage='split', status='active'"))
    claim = held(line, "split")
    (video,) = claim.ids
    keep(
        line,
        claim,
        Findings(scores={video: {}}, clips={video: [NewClip(0, 0, 1, {"num_frames": 7})]}),
    )
    assert line.rows("SELECT clip_index, num_frames FROM clips") == [(0, 7)]


def test_a_video_without_clips_is_dropped_with_the_reason(line: Line) -> None:
    line.enqueue("a.mp4")
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE videos SET stage='split'"))
    claim = held(line, "split")
    (video,) = claim.ids
    keep(line, claim, Findings(scores={video: {}}, dropped={video: "no_scene"}, clips={video: []}))
    assert line.rows("SELECT status, reason, num_clips FROM videos") == [("dropped", "no_scene", 0)]


def test_text_that_came_with_the_input_goes_to_every_clip(line: Line) -> None:
    from curate.db import datasets
    from tests.pipelines import Found

    found = Found("/v/a.mp4", extra={"text": "a dog: 100%", "id": 3})
    datasets.enqueue(line.engine, line.dataset, [found], line.pipeline)
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE videos SET stage='split'"))
    claim = held(line, "split")
    (video,) = claim.ids
    keep(
        line,
        claim,
        Findings(scores={video: {}}, clips={video: [NewClip(0, 0, 1, {"num_frames": 7})]}),
    )
    assert line.rows("SELECT text FROM clips") == [("a dog: 100%",)]


def test_the_last_stage_keeps_what_passes(database_url: str, home: object) -> None:
    line = make_line(database_url, home, ["score", "good: score >= 2"])
    a, b = line.put_clips(2, "score")
    keep(line, held(line, "score"), Findings(scores={a: {"score": 5.0}, b: {"score": 0.0}}))
    assert line.rows("SELECT stage, status, reason FROM clips ORDER BY id") == [
        ("done", "kept", None),
        ("done", "dropped", "good"),
    ]


def test_percent_signs_colons_and_quotes_in_a_filter_reach_the_engine(
    database_url: str, home: object
) -> None:
    line = make_line(database_url, home, ["score", "odd: path LIKE 'a%:b''%'"])
    a, b = line.put_clips(2, "score")
    with line.engine.begin() as connection:
        connection.execute(
            text("UPDATE clips SET path = :p WHERE id = :i"), {"p": "a-:b'x", "i": a}
        )
    keep(line, held(line, "score"), Findings(scores={a: {"score": 1.0}, b: {"score": 1.0}}))
    assert line.rows("SELECT status FROM clips ORDER BY id") == [("kept",), ("dropped",)]


def test_what_dedup_took_can_be_read_from_a_number_on(line: Line) -> None:
    ids = line.put_clips(3, "inorder")
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE clips SET dedup_seq = clip_index + 1, duplicate = 0"))
    taken = taken_since(line.engine, line.dataset.id, 1, ORDER)
    assert [[r["id"] for r in part] for part in taken] == [ids[1:]]


def test_what_dedup_took_comes_some_at_a_time_in_order(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curate.db.save.batch.TAKEN", 2)
    ids = line.put_clips(5, "inorder")
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE clips SET dedup_seq = 10 - clip_index, duplicate = 0"))
    parts = [
        [r["id"] for r in part] for part in taken_since(line.engine, line.dataset.id, 0, ORDER)
    ]
    assert parts == [[ids[4], ids[3]], [ids[2], ids[1]], [ids[0]]]


def test_an_ordered_stage_recalls_what_its_order_names(line: Line) -> None:
    ids = line.put_clips(3, "inorder")
    with line.engine.begin() as connection:
        connection.execute(
            text("UPDATE clips SET text_seq = 3 - clip_index, dedup_seq = 9, text = 'a'")
        )
    (part,) = taken_since(
        line.engine, line.dataset.id, 1, Order(number="text_seq", recalled=("text",))
    )
    assert [dict(row) for row in part] == [
        {"id": ids[1], "text_seq": 2, "text": "a"},
        {"id": ids[0], "text_seq": 3, "text": "a"},
    ]


@pytest.mark.parametrize("name", ["a b", 'a"b', "a;b", "", "ä"])
def test_only_plain_names_become_columns(name: str) -> None:
    with pytest.raises(ValueError, match="not a column name"):
        quoted(name)
