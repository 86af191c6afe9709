"""Sums over batches: counters that read each batch once, history by stage, rates."""

from __future__ import annotations

import time
from typing import Any

import pytest
from sqlalchemy import insert

from curate.db.engine import writing
from curate.db.prune import prune_batches
from curate.db.reports.batches import (
    BATCH_SECONDS,
    BatchCounters,
    BatchSums,
    recent_rates,
    stage_history,
)
from curate.db.schema import batches
from tests.pipelines import Line


def log(line: Line, **changes: Any) -> None:
    """A batch of stage score that ended `ago` seconds ago."""
    seconds, ago = changes.pop("seconds", 2.0), changes.pop("ago", 300.0)
    entry = {
        "dataset_id": line.dataset.id,
        "stage": "score",
        "worker": "1@h",
        "n_ok": 4,
        "n_failed": 1,
        "version": "1",
    }
    entry |= {
        "seconds": seconds,
        "started_at": time.time() - ago - seconds,
        "claim_seconds": 0.02,
        **changes,
    }
    with writing(line.engine) as connection:
        connection.execute(insert(batches).values(**entry))


def sums(line: Line, counters: BatchCounters, stage: str = "score") -> BatchSums:
    return counters.read(line.engine)[line.dataset.id, stage]


def test_counters_hold_each_batch_once_old_or_young(line: Line) -> None:
    counters = BatchCounters()
    assert counters.read(line.engine) == {}
    log(line)
    log(line, ago=1.0)
    for _ in range(2):
        found = sums(line, counters)
        assert (found.batches, found.ok, found.failed, found.given_back) == (2, 8, 2, 0)
    log(line, ago=0.0, n_ok=0, n_failed=0, error="no model", claim_seconds=None)
    found = sums(line, counters)
    assert (found.batches, found.ok, found.given_back) == (3, 8, 1)
    assert (found.seconds.count, found.claim.count) == (3, 2)


def test_a_batch_that_is_committed_after_a_higher_id_is_counted(line: Line) -> None:
    counters = BatchCounters()
    log(line, id=5, ago=2.0)
    assert sums(line, counters).batches == 1
    log(line, id=4, ago=2.5)  # another connection was given the id before, and was slower
    assert sums(line, counters).batches == 2


def test_counters_do_not_go_back_when_batches_are_pruned(line: Line) -> None:
    counters = BatchCounters()
    log(line, ago=10 * 86400.0)
    log(line)
    assert sums(line, counters).batches == 2
    assert prune_batches(line.engine, line.dataset.id, 9) == 1
    log(line, ago=0.0)
    assert sums(line, counters).batches == 3
    assert sums(line, BatchCounters()).batches == 2


def test_seconds_fall_into_cumulative_buckets(line: Line) -> None:
    for seconds in (0.1, 0.3, 5.0, 9999.0):
        log(line, seconds=seconds)
    spread = sums(line, BatchCounters()).seconds
    within = dict(zip(BATCH_SECONDS, spread.within, strict=True))
    assert (within[0.1], within[0.25], within[0.5], within[5.0], within[1800.0], spread.count) == (
        1,
        1,
        2,
        3,
        3,
        4,
    )
    assert spread.total == pytest.approx(10004.4)


def test_history_is_by_stage_in_the_order_of_their_beginning(line: Line) -> None:
    log(line, ago=100.0, version="2")
    log(line, stage="probe", ago=500.0, seconds=10.0, n_ok=5, n_failed=0)
    log(line, ago=50.0)
    first, second = stage_history(line.engine, line.dataset.id)
    assert (first.stage, first.batches, first.rows_per_busy_second) == (
        "probe",
        1,
        pytest.approx(0.5),
    )
    assert (second.ok, second.failed, second.versions) == (8, 2, ["1", "2"])
    assert second.last_at - second.first_at == pytest.approx(52, abs=1)


def test_a_stage_that_only_gave_back_has_no_rate(line: Line) -> None:
    log(line, n_ok=0, n_failed=0, error="no model")
    (stage,) = stage_history(line.engine, line.dataset.id)
    assert (stage.given_back, stage.rows_per_busy_second) == (1, None)


def test_rates_are_of_the_stages_that_finished_something_lately(line: Line) -> None:
    log(line, ago=0.0, seconds=10.0, n_ok=99)
    log(line, stage="probe", ago=3000.0)
    rates = recent_rates(line.engine, line.dataset.id, ["probe", "split", "score"])
    assert rates == {"score": pytest.approx(10, rel=0.1)}


def test_the_runner_writes_down_what_a_claim_took(line: Line) -> None:
    from dataclasses import replace

    from curate.db.save.batch import Outcomes, save
    from tests.pipelines import writer

    line.put_clips(1, "score")
    held = line.claim("score")
    assert held
    save(
        line.engine,
        replace(held, claim_seconds=0.125),
        Outcomes(scores={held.ids[0]: {"score": 1.0}}),
        writer(),
    )
    assert line.rows("SELECT claim_seconds FROM batches") == [(0.125,)]
