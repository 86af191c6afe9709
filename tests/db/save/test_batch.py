"""Saving: guarded by the owner, with the filters' verdicts in the same transaction."""

from __future__ import annotations

from sqlalchemy import text

from curate.db.save.batch import Outcomes
from tests.pipelines import Line


def test_scores_are_written_and_filters_decide(line: Line) -> None:
    a, b = line.put_clips(2, "score")
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE clips SET num_frames = 9"))
    claim = line.held("score")
    assert line.save(claim, Outcomes(scores={a: {"score": 1.5}, b: {"score": 2.0}})) == 2
    rows = line.rows(
        "SELECT id, score, stage, status, reason, owner, lease_until FROM clips ORDER BY id"
    )
    assert rows == [
        (a, 1.5, "inorder", "dropped", "good", None, 0.0),
        (b, 2.0, "inorder", "active", None, None, 0.0),
    ]


def test_null_does_not_pass(line: Line) -> None:
    (a,) = line.put_clips(1, "score")
    line.save(line.held("score"), Outcomes(scores={a: {"score": None}}))
    assert line.rows("SELECT status, reason FROM clips") == [("dropped", "some")]


def test_the_first_filter_not_passed_is_the_reason(line: Line) -> None:
    (a,) = line.put_clips(1, "score")
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE clips SET num_frames = 1"))
    line.save(line.held("score"), Outcomes(scores={a: {"score": 0.0}}))
    assert line.rows("SELECT reason FROM clips") == [("some",)]


def test_a_worker_that_lost_its_lease_writes_nothing(line: Line) -> None:
    a, b = line.put_clips(2, "score")
    slow = line.held("score", "slow")
    line.expire("slow")
    fast = line.held("score", "fast")
    assert len(fast.rows) == 1
    assert line.save(slow, Outcomes(scores={i: {"score": 9.0} for i in (a, b)})) == 1
    (lost,) = fast.ids
    assert line.rows("SELECT score, owner FROM clips WHERE id=:i", i=lost) == [(None, "fast")]


def test_a_failed_row_says_why_and_takes_no_other_along(line: Line) -> None:
    a, b = line.put_clips(2, "score")
    outcomes = Outcomes(scores={a: {"score": 3.0}}, failed={b: ("Unreadable", "cannot open")})
    line.save(line.held("score"), outcomes)
    assert line.rows("SELECT status, reason, error, stage FROM clips WHERE id=:i", i=b) == [
        ("failed", "Unreadable", "cannot open", "score")
    ]
    assert line.rows("SELECT n_ok, n_failed, stage, worker, version FROM batches") == [
        (1, 1, "score", "worker", "0")
    ]
