"""worker: refused where it would do harm, stopped by a signal, and checked with --check."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest
from sqlalchemy import text

from curate.cli.worker import own_workers, parse_npus, parse_queues, problems_of
from curate.configs.errors import UsageError
from curate.db.engine import make_engine, writing
from curate.db.reports.workers import SeenWorker, known_workers
from tests.cli.conftest import Call, Filled, program
from tests.pipelines import wait_until


def test_queues() -> None:
    assert parse_queues("cpu, ascend,cpu") == ("cpu", "ascend")
    for wrong in ("", "gpu", "cpu,gpu"):
        with pytest.raises(UsageError):
            parse_queues(wrong)


def test_npus() -> None:
    assert parse_npus("") is None
    assert parse_npus("0, 2") == [0, 2]
    for wrong in ("x", "0,-1", "1.5"):
        with pytest.raises(UsageError, match="not the number"):
            parse_npus(wrong)


def test_an_npu_that_is_not_there_is_refused_before_anything_starts(
    curate: Call, home: Path
) -> None:
    refused = curate("worker", "-Q", "ascend", "--npus", "7")
    assert (refused.code, "--npus 7" in refused.err) == (2, True)
    assert not home.exists()


def test_a_worker_stops_at_a_signal(curate: Call, tmp_path: Path, home: Path) -> None:
    log = tmp_path / "log"
    with program(log, "worker", "-c", "1", "-n", "solo") as worker:
        try:
            check = ("worker", "--check", "-n", "solo")
            wait_until(lambda: worker.poll() is not None or curate(*check).code == 0, 60)
            names = {found["name"] for found in curate(*check, "--json").json["workers"]}
        finally:
            worker.send_signal(signal.SIGTERM)
    said = log.read_text()
    assert (worker.returncode, "worker stopped" in said) == (0, True), said
    assert "solo-cpu0 serves cpu with 1 process; solo-ascend0 serves ascend with 1 process" in said
    assert names == {"solo-cpu0", "solo-ascend0"}
    assert not list(home.glob("broker/redis.sock")) or os.environ.get("XDG_RUNTIME_DIR")


HERE = socket.gethostname()


def seen(name: str, ago: float = 0.0) -> SeenWorker:
    return SeenWorker(name, "h", 5, "cpu", 1, None, "1", 0.0, -ago, ago)


def test_a_check_looks_at_the_workers_of_its_name() -> None:
    found = [
        seen("cpu0", ago=90),
        seen("cpu0"),
        seen("ascend12"),
        seen("x-cpu0"),
        seen("run77-cpu0", ago=100),
    ]
    assert [(w.name, w.age) for w in own_workers(found, "")] == [("cpu0", 0.0), ("ascend12", 0.0)]
    assert [w.name for w in own_workers(found, "x")] == ["x-cpu0"]
    assert own_workers(found, "y") == []


def test_a_check_tells_a_silent_worker_from_one_that_does_not_answer() -> None:
    silent, deaf = problems_of([seen("cpu0", ago=100), seen("cpu1"), seen("cpu2")], {"cpu2@h"})
    assert "cpu0@h gave no sign of life for 1m 40s" in silent
    assert "cpu1@h (pid 5) does not answer" in deaf


def test_a_check_without_a_worker_or_a_database_fails(curate: Call, home: Path) -> None:
    assert curate("worker", "--check").code == 4
    assert not home.exists(), "it makes nothing"


def test_a_check_fails_when_database_or_broker_do_not_answer(
    curate: Call, filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CURATE_BROKER_URL", "redis://:hush@127.0.0.1:1/0")
    result = curate("worker", "--check", "--json")
    assert (result.code, result.json["ok"], "hush" in result.out) == (4, False, False)
    assert "broker" in result.json["problems"][0]


def test_a_check_ends_when_a_server_takes_connections_and_never_answers(
    curate: Call, filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curate.cli.worker.CHECK_SECONDS", 0.5)
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        monkeypatch.setenv("CURATE_BROKER_URL", f"redis://127.0.0.1:{deaf.getsockname()[1]}/0")
        result = curate("worker", "--check")
    assert (result.code, "no answer within 0.5 s" in result.out) == (4, True)


def test_a_real_worker_is_well_until_it_hangs(curate: Call, tmp_path: Path, home: Path) -> None:
    log = tmp_path / "log"
    with program(log, "worker", "-Q", "cpu", "-c", "1") as worker:
        try:
            wait_until(lambda: curate("worker", "--check").code == 0, 60)
            (found,) = curate("worker", "--check", "--json").json["workers"]
            assert (found["name"], found["host"], found["queue"], found["state"]) == (
                "cpu0",
                HERE,
                "cpu",
                "running",
            )
            with program(tmp_path / "second", "worker", "-Q", "cpu", "-c", "1") as second:
                try:
                    assert second.wait(60) == 3, "of the same name"
                finally:
                    second.kill()
            said = (tmp_path / "second").read_text()
            assert f"cpu0@{HERE} runs already (pid {found['pid']})" in said
            assert "curate worker --name" in said
            os.kill(found["pid"], signal.SIGSTOP)
            hung = curate("worker", "--check")
            assert (hung.code, "does not answer a ping" in hung.out) == (4, True)
            os.kill(found["pid"], signal.SIGCONT)
            wait_until(lambda: curate("worker", "--check").code == 0, 30)
            engine = make_engine(f"sqlite:///{home / 'curate.db'}")
            with writing(engine) as connection:  # as if its supervisor hung
                connection.execute(text("UPDATE workers SET seen_at = seen_at - 60"))
            assert "no sign of life" in curate("worker", "--check").out
        finally:
            worker.send_signal(signal.SIGTERM)
    assert worker.returncode == 0, log.read_text()
    assert known_workers(engine) == [], "an orderly stop leaves no row"
    assert curate("worker", "--check").code == 4
