"""Rates and what is left, as arithmetic."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.db.reports.progress import MOST_BATCHES, Ended, StageProgress, eta_of, rate


def worked(workers: int, seconds: float, rows: int, until: float) -> list[Ended]:
    """What so many workers, one batch after the other each and evenly shifted, ended by `until`;
    the last ones.
    """
    ends = [
        (n + 1) * seconds + worker * seconds / workers
        for worker in range(workers)
        for n in range(int(until / seconds))
    ]
    return [
        Ended(until - end, seconds, rows) for end in sorted(ends, reverse=True) if end <= until
    ][:MOST_BATCHES]


@settings(deadline=None)
@given(st.integers(1, 12), st.sampled_from([0.2, 1.0, 20.0, 55.0, 300.0, 1500.0]))
def test_the_rate_is_that_of_all_workers_whatever_a_batch_takes(
    workers: int, seconds: float
) -> None:
    found = rate(worked(workers, seconds, 64, until=8 * seconds + 70))
    assert found == pytest.approx(64 * workers / seconds, rel=0.55)


def test_many_workers_with_long_batches_are_measured_well() -> None:
    assert rate(worked(10, 300.0, 64, until=6000)) == pytest.approx(64 * 10 / 300, rel=0.1)


def test_a_pause_before_does_not_count() -> None:
    before = [Ended(1000.0 + n, 1.0, 10) for n in range(50)]
    after = [Ended(float(n), 1.0, 10) for n in range(5)]
    assert rate(after + before) == pytest.approx(10)


def test_the_end_of_work_ends_the_rate() -> None:
    assert rate([Ended(61.0, 1.0, 10)]) is None
    assert rate([Ended(61.0, 100.0, 10)]) == pytest.approx(10 / 161)
    assert rate([]) is None
    assert rate([Ended(1.0, 1.0, 0)]) is None  # given back


def test_more_batches_than_are_looked_at() -> None:
    assert rate([Ended(n / 100, 0.01, 1) for n in range(MOST_BATCHES)]) == pytest.approx(
        100, rel=0.05
    )


def stage(level: Any = "clip", **counts: Any) -> StageProgress:
    values = {
        "waiting": 0,
        "running": 0,
        "done": 0,
        "dropped": 0,
        "failed": 0,
        "rate": None,
    } | counts
    return StageProgress("s", level, "cpu", **values)


def test_what_is_left_counts_what_is_still_to_come() -> None:
    split = stage("video", waiting=10, done=10, rate=1.0)
    first = stage(
        waiting=50, done=40, dropped=10, rate=10.0
    )  # 10 clips a video, of which 4 of 5 go on
    second = stage(waiting=0, done=40, rate=2.0)
    assert eta_of([split]) == pytest.approx(10)
    assert eta_of([split, first]) == pytest.approx((50 + 100) / 10)
    assert eta_of([split, first, second]) == pytest.approx((50 + 100) * 0.8 / 2)


def test_what_cannot_be_told_is_not() -> None:
    assert eta_of([stage(done=5)]) is None, "nothing is left"
    assert eta_of([stage(waiting=5, done=5)]) is None, "nothing finished lately"
    assert eta_of([stage(waiting=5, done=5, rate=1.0), stage(done=5)]) is None, (
        "the second stage has yet to begin"
    )
    assert eta_of([stage(waiting=5, rate=1.0), stage()]) is None
