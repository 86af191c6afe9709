"""Signs of life: one row a worker, the old ones removed, and versions that differ told."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import text

from curate.db.engine import writing
from curate.db.reports import workers
from curate.db.reports.workers import Running, Seen
from tests.pipelines import Line

CPU = Running("cpu0", "one", 11, "cpu", 4, None, "1.0")
NPU = Running("ascend3", "two", 12, "ascend", 1, 3, "1.0")


def age(line: Line, name: str, seconds: float) -> None:
    with writing(line.engine) as connection:
        connection.execute(
            text("UPDATE workers SET seen_at = seen_at - :s WHERE name = :n"),
            {"s": seconds, "n": name},
        )


def names(line: Line) -> list[str]:
    return [worker.name for worker in workers.known(line.engine)]


def test_a_worker_has_one_row_however_often_it_is_seen(line: Line) -> None:
    ids = workers.report(line.engine, [(None, CPU), (None, NPU)])
    assert workers.report(line.engine, [(ids[0], replace(CPU, pid=99)), (ids[1], NPU)]) == ids
    first, second = workers.known(line.engine)
    assert (first.node, first.pid, first.recent, first.npu) == ("cpu0@one", 99, True, None)
    assert (second.node, second.queue, second.processes, second.npu) == (
        "ascend3@two",
        "ascend",
        1,
        3,
    )
    assert first.age < 30
    workers.leave(line.engine, ids)
    assert names(line) == []


def test_a_worker_that_was_taken_for_dead_comes_back(line: Line) -> None:
    (row,) = workers.report(line.engine, [(None, CPU)])
    workers.leave(line.engine, [row])
    workers.report(line.engine, [(row, CPU)])
    assert names(line) == ["cpu0"]


def test_what_a_dead_supervisor_left_is_removed(line: Line) -> None:
    workers.report(line.engine, [(None, CPU), (None, replace(CPU, name="other0")), (None, NPU)])
    for name in ("cpu0", "other0", "ascend3"):
        age(line, name, workers.RECENT_SECONDS + 5)
    assert [worker.recent for worker in workers.known(line.engine)] == [False, False, False]
    workers.report(line.engine, [(None, CPU)])
    assert names(line) == ["cpu0", "other0", "ascend3"], (
        "another worker is kept for an hour: somebody should see it"
    )
    age(line, "other0", workers.FORGET_SECONDS)
    age(line, "ascend3", workers.FORGET_SECONDS)
    assert names(line) == ["cpu0"]
    workers.report(line.engine, [(None, replace(CPU, name="cpu1"))])
    assert line.rows("SELECT count(*) FROM workers") == [(2,)]


def test_rows_at_work_are_counted_by_host(line: Line) -> None:
    line.put_clips(3, "score")
    assert line.claim("score", owner="one|b/n|7|1|x")
    assert workers.rows_at_work(line.engine) == {"one": 3}


def seen(host: str, version: str, ago: float = 0.0) -> Seen:
    return Seen("cpu0", host, 1, "cpu", 1, None, version, 0.0, 0.0, ago)


def test_versions_that_differ_are_told_with_their_hosts() -> None:
    said = workers.difference([seen("b", "1"), seen("a", "1"), seen("c", "2")])
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
    ],
)
def test_only_workers_that_run_are_compared(
    found: list[Seen], mine: tuple[str, str] | None, differ: bool
) -> None:
    assert bool(workers.difference(found, mine)) == differ
