"""The funnel, rates and what is left, as arithmetic."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.configs.pipeline import parse
from curate.db.reports.counts import RowCount
from curate.db.reports.progress import (
    MOST_BATCHES,
    EndedBatch,
    StageProgress,
    eta_of,
    funnel,
    progress,
    rate,
    totals,
)
from tests.pipelines import CATALOG, pipeline


def test_a_row_dropped_afterwards_counts_at_its_filter() -> None:
    counts = [
        RowCount("clip", "done", "dropped", "good", 2, 0),
        RowCount("clip", "done", "kept", None, 1, 0),
    ]
    steps = {p.step: p for p in funnel(counts, pipeline("score", "good: score >= 1", "inorder"))}
    assert (steps["good"].came_in, steps["good"].dropped, steps["good"].kept) == (3, 2, 1)
    assert steps["inorder"].came_in == 1


def test_clips_that_fell_with_their_video_are_dropped_before_their_filters() -> None:
    counts = [
        RowCount("video", "split", "dropped", "wide", 1, 0),
        RowCount("video", "done", "kept", None, 2, 0),
        RowCount("clip", "done", "dropped", "wide", 3, 0),
        RowCount("clip", "done", "dropped", "picked", 1, 0),
        RowCount("clip", "done", "kept", None, 5, 0),
    ]
    steps = [
        {"stage": "probe"}, {"filter": "wide", "where": "width > 9"}, {"stage": "split"},
        {"stage": "score"}, {"filter": "good", "where": "score >= 1"},
    ]  # fmt: skip
    line = parse(steps, CATALOG, "test")
    found = [p for p in funnel(counts, line, picks=True) if p.level == "clip"]
    assert [(p.step, p.came_in, p.dropped) for p in found] == [
        ("picked", 9, 1), ("wide", 8, 3), ("score", 5, 0), ("good", 5, 0)
    ]  # fmt: skip
    stages = {s.stage: s for s in progress(funnel(counts, line, picks=True), {})}
    assert (stages["probe"].dropped, stages["split"].dropped, stages["score"].total) == (1, 0, 5)


STEPS = pipeline("score", "good: score >= 1", "inorder", "new: duplicate = 0")
STAGES = st.sampled_from(["score", "inorder", "done"])


@st.composite
def counts_of_clips(draw: st.DrawFn) -> RowCount:
    stage = draw(STAGES)
    status = draw(
        st.sampled_from(["active", "failed", "dropped"] if stage != "done" else ["kept", "dropped"])
    )
    reasons = {"score": ["own"], "inorder": ["own", "good"], "done": ["good", "new"]}
    reason = draw(st.sampled_from(reasons[stage])) if status == "dropped" else None
    rows = draw(st.integers(0, 1000))
    return RowCount(
        "clip", stage, status, reason, rows, draw(st.integers(0, rows)) if status == "active" else 0
    )


@given(st.lists(counts_of_clips(), max_size=20))
@settings(max_examples=60)
def test_no_row_is_lost_or_counted_twice(counts: list[RowCount]) -> None:
    steps = [p for p in funnel(counts, STEPS) if p.level == "clip"]
    assert steps[-1].kept == sum(c.rows for c in counts if c.status == "kept")
    for before, after in itertools.pairwise(steps):
        assert after.came_in == before.kept >= 0
    for stage in progress(funnel(counts, STEPS), {}):
        assert min(stage.waiting, stage.running, stage.done, stage.dropped, stage.failed) >= 0
    found = totals(counts)
    assert sum(c.rows for c in counts) == found.kept + found.dropped + found.failed + found.active


@given(st.lists(counts_of_clips(), min_size=1, max_size=20))
@settings(max_examples=40)
def test_shares_sum_to_100(counts: list[RowCount]) -> None:
    rows = sum(c.rows for c in counts)
    assert sum(totals(counts).shares().values()) == pytest.approx(100 if rows else 0)


def test_eta_is_known_only_while_something_waits() -> None:
    counts = [
        RowCount("clip", "score", "active", None, 30, 10),
        RowCount("clip", "done", "kept", None, 1, 0),
    ]
    stages = {s.stage: s for s in progress(funnel(counts, STEPS), {"score": 3.0, "inorder": 1.0})}
    assert stages["score"].eta == pytest.approx(10)
    assert stages["inorder"].eta is None


def worked(workers: int, seconds: float, rows: int, until: float) -> list[EndedBatch]:
    """What so many workers, one batch after the other each and evenly shifted, ended by `until`;
    the last ones.
    """
    ends = [
        (n + 1) * seconds + worker * seconds / workers
        for worker in range(workers)
        for n in range(int(until / seconds))
    ]
    return [
        EndedBatch(until - end, seconds, rows) for end in sorted(ends, reverse=True) if end <= until
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
    before = [EndedBatch(1000.0 + n, 1.0, 10) for n in range(50)]
    after = [EndedBatch(float(n), 1.0, 10) for n in range(5)]
    assert rate(after + before) == pytest.approx(10)


def test_time_in_which_nothing_was_at_work_does_not_count() -> None:
    batches = [EndedBatch(20.0, 1.0, 10), EndedBatch(40.0, 4.0, 10)]
    assert rate(batches) == pytest.approx(20 / 5)
    meanwhile = [EndedBatch(21.0, 9.0, 1), EndedBatch(500.0, 1.0, 1)]
    assert rate(batches, meanwhile) == pytest.approx(20 / 14), "workers were at another stage"


def test_the_end_of_work_ends_the_rate() -> None:
    assert rate([EndedBatch(61.0, 1.0, 10)]) is None
    assert rate([EndedBatch(61.0, 100.0, 10)]) == pytest.approx(10 / 100)
    assert rate([]) is None
    assert rate([EndedBatch(1.0, 1.0, 0)]) is None  # given back


def test_more_batches_than_are_looked_at() -> None:
    assert rate([EndedBatch(n / 100, 0.01, 1) for n in range(MOST_BATCHES)]) == pytest.approx(
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
