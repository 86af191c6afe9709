"""What went wrong: rows that failed, and stages that cannot work now."""

from __future__ import annotations

import time
from typing import Any

import pytest
from sqlalchemy import insert, text

from curate.db.engine import writing
from curate.db.reports.failures import (
    BlockedStage,
    blocked_stages,
    failed_rows,
    failures,
    hopeless_stage,
    reasons,
)
from curate.db.schema import batches
from tests.db.reports.conftest import put
from tests.pipelines import Line


def test_failures_are_grouped_with_an_example(line: Line) -> None:
    put(line, "score", "failed", "NotFinite", count=3)
    put(line, "inorder", "failed", "DiskFull")
    first, second = failures(line.engine, line.dataset.id)
    assert (first.stage, first.error, first.rows, first.message) == (
        "score",
        "NotFinite",
        3,
        "NotFinite",
    )
    assert first.path == "/v/scorefailedNotFinite.mp4"
    assert second.rows == 1
    assert failures(line.engine, line.dataset.id, "inorder") == [second]


def log(line: Line, *reasons: str | None, ago: float = 0.0, apart: float = 0.0) -> None:
    """Batches of score, that failed as a whole for a reason or (None) did not; the last one `ago`
    seconds old.
    """
    ends = [ago + apart * n for n in reversed(range(len(reasons)))]
    rows: list[dict[str, Any]] = [
        {
            "dataset_id": line.dataset.id, "stage": "score", "worker": "1@h", "n_ok": 0,
            "n_failed": 0,
            "version": "1", "seconds": 0.0, "started_at": time.time() - end,
            "error": reason and f"no {reason}", "reason": reason,
        }
        for reason, end in zip(reasons, ends, strict=True)
    ]  # fmt: skip
    with writing(line.engine) as connection:
        connection.execute(insert(batches), rows)


def test_a_stage_is_blocked_by_its_last_batch_alone(line: Line) -> None:
    log(line, None, "DiskFull", ago=5.0)
    (found,) = blocked_stages(line.engine, line.dataset.id)
    assert found == BlockedStage("score", "DiskFull", "no DiskFull", pytest.approx(5.0, abs=3))
    log(line, None)
    assert blocked_stages(line.engine, line.dataset.id) == []


def test_a_stage_that_failed_long_ago_is_not_blocked(line: Line) -> None:
    log(line, "DiskFull", ago=700.0)
    assert blocked_stages(line.engine, line.dataset.id) == []


@pytest.mark.parametrize(
    ("reasons", "apart", "hopeless"),
    [
        (["ModelsMissing"] * 6, 0.0, True),
        (["ModelsMissing"] * 5, 0.0, False),
        ([*["ModelsMissing"] * 5, None], 0.0, False),
        (["DiskFull"] * 6, 60.0, False),
        (["ServiceError"] * 6, 1.0, False),
        (["ServiceError"] * 6, 20.0, True),
    ],
)
def test_waiting_is_no_use_when_all_last_batches_failed_and_it_does_not_pass(
    line: Line, reasons: list[str | None], apart: float, hopeless: bool
) -> None:
    log(line, *reasons, apart=apart)
    expected = ("score", f"no {reasons[-1]}") if hopeless else None
    assert hopeless_stage(line.engine, line.dataset.id, since=time.time() - 3600) == expected


def test_a_stage_that_waits_for_a_command_ends_a_run_once_all_wait_for_it(line: Line) -> None:
    since = time.time() - 3600
    put(line, "score", "active", None)
    video = put(line, "split", "active", None)
    log(line, "NotFitted")
    assert hopeless_stage(line.engine, line.dataset.id, since) is None, "others go on"
    with line.engine.begin() as connection:
        done = text("UPDATE clips SET status = 'kept', stage = 'done' WHERE id = :i")
        connection.execute(done, {"i": video[0]})
    assert hopeless_stage(line.engine, line.dataset.id, since) == ("score", "no NotFitted")


def test_batches_before_the_run_do_not_count(line: Line) -> None:
    log(line, *["ModelsMissing"] * 6, ago=100.0)
    assert hopeless_stage(line.engine, line.dataset.id, since=time.time() - 50) is None


def test_every_failed_row_comes_with_its_source(line: Line) -> None:
    clips = put(line, "score", "failed", "NotFinite", count=2)
    put(line, "score", "kept", None)
    found = list(failed_rows(line.engine, line.dataset.id))
    assert [(f.level, f.id, f.stage, f.error) for f in found] == [
        ("clip", row_id, "score", "NotFinite") for row_id in clips
    ]
    assert found[0].path == "/v/scorefailedNotFinite.mp4"
    assert found == list(failed_rows(line.engine, line.dataset.id, "score", "NotFinite"))
    assert list(failed_rows(line.engine, line.dataset.id, "inorder")) == []
    assert reasons(line.engine, line.dataset.id) == ["NotFinite"]
