"""The gate: its limits hold over all threads and processes, and a budget closes it."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest

from curate.configs.errors import BudgetSpent, ServiceError
from curate.db.engine import make_engine
from curate.db.spending import Spent, spent_by_stage
from curate.tasks.servers.server_stage import Answer, ServerLimit, Usage
from curate.worker import gate as module
from curate.worker.gate import Permits, SharedGate
from tests.pipelines import Line, make_line

TWO = ServerLimit("http://s/v1", 2)


@pytest.fixture
def line(sqlite_url: str, tmp_path: Path) -> Line:
    return make_line(sqlite_url, tmp_path, ["score"])


def gate_of(line: Line, most: float = 0.0) -> SharedGate:
    """As another process would make it."""
    engine, permits = make_engine(str(line.engine.url)), Permits(line.engine, 60)
    of = (line.dataset.id, "score", most, line.dataset.pipeline_text)
    return SharedGate(engine, permits, *of)


def test_two_at_a_time_over_threads_and_processes(line: Line) -> None:
    gates = [gate_of(line) for _ in range(3)]
    under_way, most = 0, 0
    lock = threading.Lock()

    def ask(number: int) -> None:
        nonlocal under_way, most
        with gates[number % 3].permit(TWO, 60):
            with lock:
                under_way += 1
                most = max(most, under_way)
            time.sleep(0.02)
            with lock:
                under_way -= 1

    with ThreadPoolExecutor(9) as pool:
        list(pool.map(ask, range(18)))
    assert most == 2
    assert line.rows("SELECT count(*) FROM permits") == [(0,)]


def test_who_waits_too_long_gives_up_without_a_permit(line: Line) -> None:
    one = ServerLimit("s", 1)
    gate, other = gate_of(line), gate_of(line)
    with gate.permit(one, 60):
        for waiting in (gate, other):
            with pytest.raises(ServiceError, match="no room"), waiting.permit(one, 0.05):
                pass
        assert line.rows("SELECT count(*) FROM permits") == [(1,)]
    with other.permit(one, 60):
        pass


def test_the_pace_holds_over_processes(line: Line) -> None:
    paced, asked = ServerLimit("s", 8, 60 / 0.05), []
    for gate in [gate_of(line), gate_of(line)] * 2:
        with gate.permit(paced, 60):
            asked += [row[0] for row in line.rows("SELECT asked_at FROM servers")]
    assert all(later - earlier >= 0.0499 for earlier, later in pairwise(asked))


def test_permits_that_are_held_are_renewed_and_no_others(line: Line) -> None:
    gate = gate_of(line)
    ends = "SELECT min(until) FROM permits"
    with gate.permit(TWO, 60):
        with line.engine.begin() as connection:
            connection.exec_driver_sql("UPDATE permits SET until = until - 50")
        before = line.rows(ends)[0][0]
        gate.permits.renew()
        assert line.rows(ends)[0][0] > before + 40
    gate.permits.renew()
    assert line.rows(ends) == [(None,)]


def test_a_spent_budget_lets_nothing_through_and_pauses_the_dataset(line: Line) -> None:
    gate = gate_of(line, 1.0)
    with gate.permit(TWO, 60):
        gate.spend(Usage(10, 20, 0.9))
    with gate.permit(TWO, 60):
        gate.spend(Usage(10, 20, 0.2))
    with pytest.raises(BudgetSpent, match=r"spent 1\.1 of 1"), gate.permit(TWO, 60):
        pytest.fail("it was let through")
    assert line.rows("SELECT state FROM datasets") == [("paused",)]
    assert line.rows("SELECT count(*) FROM permits") == [(0,)]
    with gate_of(line, 2.0).permit(TWO, 60):  # raised
        pass


def test_what_cannot_be_counted_now_is_counted_later(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = gate_of(line)
    write = module.spending.add_spending

    def away(*_: object) -> None:
        raise ServiceError(what="The database", why="away")

    monkeypatch.setattr(module.spending, "add_spending", away)
    gate.spend(Usage(10, 20, 0.5))
    monkeypatch.setattr(module.spending, "add_spending", write)
    (clip,) = line.put_clips(1, "score")
    gate.spend(Usage(1, 2, 0.25), Answer(clip, "r", "text"))
    assert spent_by_stage(line.engine, line.dataset.id) == {"score": Spent(2, 11, 22, 0.75)}
    assert gate.answers("r", [clip]) == {(clip, "r"): "text"}
    gate.spend(Usage(cost=0.25), Answer(clip + 1, "r", "of a clip that was deleted"))
    assert spent_by_stage(line.engine, line.dataset.id)["score"].requests == 2
    gate.forget([clip])
    assert gate.answers("r", [clip]) == {}
    assert spent_by_stage(line.engine, line.dataset.id) == {"score": Spent(3, 11, 22, 1.0)}
