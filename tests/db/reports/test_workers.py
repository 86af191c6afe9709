"""Rows that hosts hold, and versions that differ told."""

from __future__ import annotations

import pytest

from curate.db import datasets
from curate.db.reports.workers import (
    Lease,
    SeenWorker,
    StageAtWork,
    busy_processes,
    leased_by_host,
    leases,
    stages_at_work,
    version_warning,
)
from tests.pipelines import Line


def test_rows_at_work_are_counted_by_host(line: Line) -> None:
    line.put_clips(3, "score")
    assert line.claim("score", owner="one|b/n|7|1|x")
    assert leased_by_host(line.engine) == {"one": 3}


def test_the_processes_that_hold_rows_are_named(line: Line) -> None:
    line.put_clips(3, "score")
    assert line.claim("score", owner="one|b/n|7|1|x")
    other = datasets.create(line.engine, "other", "/v", line.pipeline)
    assert busy_processes(line.engine, line.dataset) == ["7@one"]
    assert leases(line.engine, line.dataset) == [Lease("score", "clip", "one|b/n|7|1|x", 3)]
    assert busy_processes(line.engine, other) == []


def test_rows_of_some_processes_are_counted_by_stage(line: Line) -> None:
    line.put_clips(3, "score")
    assert line.claim("score", owner="one|b/n|7|1|x")
    line.put_clips(1, "score", video="/v/y.mp4")
    assert line.claim("score", owner="one|b/n|8|1|y")
    assert stages_at_work(line.engine, {"7@one"}) == [StageAtWork("score", "clip", 3)]
    assert stages_at_work(line.engine, {"7@one", "8@one"}) == [StageAtWork("score", "clip", 4)]
    assert stages_at_work(line.engine, {"7@two"}) == []


def seen(host: str, version: str, ago: float = 0.0) -> SeenWorker:
    return SeenWorker("cpu0", host, 1, "cpu", 1, None, version, 0.0, 0.0, ago)


def test_versions_that_differ_are_told_with_their_hosts() -> None:
    said = version_warning([seen("b", "1"), seen("a", "1"), seen("c", "2")])
    assert "1 on a, b; 2 on c" in said
    assert "install one version everywhere" in said


@pytest.mark.parametrize(
    ("found", "mine", "differ"),
    [
        ([], None, False),
        ([], ("1", "a"), False),
        ([seen("a", "1"), seen("b", "1")], None, False),
        ([seen("a", "1"), seen("b", "2", ago=1000)], None, False),
        ([seen("a", "1")], ("2", "b"), True),
        ([seen("a", "1")], ("1", "b"), False),
        ([seen("a", "1+c0de")], ("2+c0de", "b"), False),  # one code, installed at another tag
        ([seen("a", "1+c0de")], ("1+beef", "b"), True),
    ],
)
def test_only_workers_that_run_are_compared(
    found: list[SeenWorker], mine: tuple[str, str] | None, differ: bool
) -> None:
    assert bool(version_warning(found, mine)) == differ
