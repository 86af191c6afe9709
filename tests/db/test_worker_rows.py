"""One row a worker, however often it is seen; those of supervisors that died are removed."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import text

from curate.db.engine import writing
from curate.db.reports.workers import known_workers
from curate.db.worker_rows import (
    FORGET_SECONDS,
    RECENT_SECONDS,
    RunningWorker,
    record_workers,
    remove_workers,
)
from tests.pipelines import Line

CPU = RunningWorker("cpu0", "one", 11, "cpu", 4, None, "1.0")
NPU = RunningWorker("ascend3", "two", 12, "ascend", 1, 3, "1.0")


def age(line: Line, name: str, seconds: float) -> None:
    with writing(line.engine) as connection:
        connection.execute(
            text("UPDATE workers SET seen_at = seen_at - :s WHERE name = :n"),
            {"s": seconds, "n": name},
        )


def names(line: Line) -> list[str]:
    return [worker.name for worker in known_workers(line.engine)]


def test_a_worker_has_one_row_however_often_it_is_seen(line: Line) -> None:
    ids = record_workers(line.engine, [(None, CPU), (None, NPU)])
    assert record_workers(line.engine, [(ids[0], replace(CPU, pid=99)), (ids[1], NPU)]) == ids
    first, second = known_workers(line.engine)
    assert (first.node, first.pid, first.recent, first.npu) == ("cpu0@one", 99, True, None)
    assert (second.node, second.queue, second.processes, second.npu) == (
        "ascend3@two",
        "ascend",
        1,
        3,
    )
    assert first.age < 30
    remove_workers(line.engine, ids)
    assert names(line) == []


def test_a_worker_that_was_taken_for_dead_comes_back(line: Line) -> None:
    (row,) = record_workers(line.engine, [(None, CPU)])
    remove_workers(line.engine, [row])
    record_workers(line.engine, [(row, CPU)])
    assert names(line) == ["cpu0"]


def test_what_a_dead_supervisor_left_is_removed(line: Line) -> None:
    record_workers(line.engine, [(None, CPU), (None, replace(CPU, name="other0")), (None, NPU)])
    for name in ("cpu0", "other0", "ascend3"):
        age(line, name, RECENT_SECONDS + 5)
    assert [worker.recent for worker in known_workers(line.engine)] == [False, False, False]
    record_workers(line.engine, [(None, CPU)])
    assert names(line) == ["cpu0", "other0", "ascend3"], (
        "another worker is kept for an hour: somebody should see it"
    )
    age(line, "other0", FORGET_SECONDS)
    age(line, "ascend3", FORGET_SECONDS)
    assert names(line) == ["cpu0"]
    record_workers(line.engine, [(None, replace(CPU, name="cpu1"))])
    assert line.rows("SELECT count(*) FROM workers") == [(2,)]
