"""Who must not run beside: another host on a SQLite file, at the start and later, and a second
worker of one name.
"""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from curate.configs.errors import ConfigError
from curate.db.worker_rows import RECENT_SECONDS, RunningWorker, record_workers
from curate.worker.heartbeat import Heartbeat, refuse_rivals, some_run
from curate.worker.processes import WorkerSpec
from tests.pipelines import Line, make_line

PLAN = WorkerSpec("cpu", 1, "cpu0")
HERE = socket.gethostname()
THERE = RunningWorker("cpu0", "there", os.getpid(), "cpu", 1, None, "1")


@pytest.fixture
def line(sqlite_url: str, home: Path) -> Line:
    return make_line(sqlite_url, home, ["score"])


def started(line: Line, host: str, seconds: float) -> None:
    """Let the workers of a host have started so much later."""
    with line.engine.begin() as connection:
        later = text("UPDATE workers SET started_at = started_at + :s WHERE host = :h")
        connection.execute(later, {"s": seconds, "h": host})


def test_a_worker_of_another_host_is_refused_on_sqlite(line: Line) -> None:
    refuse_rivals(line.engine, [PLAN])
    record_workers(line.engine, [(None, THERE)])
    for plans in ([PLAN], []):
        with pytest.raises(
            ConfigError, match=r"cpu0@there works on this SQLite file.*postgresql://"
        ):
            refuse_rivals(line.engine, plans)
    with line.engine.begin() as connection:
        connection.execute(
            text("UPDATE workers SET seen_at = seen_at - :s"), {"s": RECENT_SECONDS + 5}
        )
    refuse_rivals(line.engine, [PLAN])


def test_workers_run_on_another_host_while_they_give_signs_of_life(line: Line) -> None:
    assert not some_run(line.engine)
    killed = replace(THERE, host=HERE, pid=os.getpid())  # another program has its pid now
    record_workers(line.engine, [(None, killed)])
    assert not some_run(line.engine)
    record_workers(line.engine, [(None, THERE)])
    assert some_run(line.engine)


def test_postgres_is_for_many_hosts(postgres_url: str, home: Path) -> None:
    line = make_line(postgres_url, home, ["score"])
    record_workers(line.engine, [(None, THERE)])
    refuse_rivals(line.engine, [PLAN])
    Heartbeat(line.engine).beat([(PLAN, 1)])


@pytest.mark.parametrize(("later", "stops"), [(1, False), (-1, True)])
def test_of_two_hosts_on_sqlite_the_later_one_stops(line: Line, later: float, stops: bool) -> None:
    mine = Heartbeat(line.engine)
    mine.beat([(PLAN, 1)])
    record_workers(line.engine, [(None, THERE)])
    started(line, "there", later)
    mine._next = 0.0
    if not stops:
        mine.beat([(PLAN, 1)])
        return
    with pytest.raises(ConfigError, match="cpu0@there works on this SQLite file"):
        mine.beat([(PLAN, 1)])


def test_a_pid_that_another_program_has_now_is_no_worker(line: Line) -> None:
    record_workers(line.engine, [(None, replace(THERE, host=HERE))])
    refuse_rivals(line.engine, [PLAN])
    record_workers(line.engine, [(None, replace(THERE, host=HERE, pid=2**22 + 1))])
    refuse_rivals(line.engine, [PLAN])
