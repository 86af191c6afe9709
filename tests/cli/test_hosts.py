"""workers, worker --check and what is said about versions, of rows and of a real worker."""

from __future__ import annotations

import os
import signal
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from curate import __version__, code_version
from curate.cli.worker import own_workers, problems_of
from curate.db.engine import make_engine, writing
from curate.db.reports.workers import SeenWorker, known_workers
from curate.db.worker_rows import RunningWorker, record_workers
from curate.worker.heartbeat import Heartbeat
from curate.worker.processes import WorkerSpec
from tests.cli.conftest import Call, Filled
from tests.cli.test_workers import program
from tests.pipelines import wait_until

HERE = socket.gethostname()
THERE = RunningWorker("cpu0", "there", 9, "cpu", 8, None, "0.0.1")


def seen(name: str, ago: float = 0.0) -> SeenWorker:
    return SeenWorker(name, "h", 5, "cpu", 1, None, "1", 0.0, -ago, ago)


def test_workers_of_all_hosts_are_listed(curate: Call, filled: Filled) -> None:
    record_workers(
        filled.engine, [(None, THERE), (None, replace(THERE, name="ascend3", host="host", npu=3))]
    )
    first, second = curate("workers", "--json").json
    assert (first["host"], first["npu"], first["state"], first["rows_at_work"]) == (
        "host",
        3,
        "running",
        1,
    )
    assert (second["host"], second["version"], second["processes"], second["rows_at_work"]) == (
        "there",
        "0.0.1",
        8,
        0,
    )
    lines = curate("workers").out.splitlines()
    assert lines[0].split() == [
        "host",
        "name",
        "queue",
        "processes",
        "npu",
        "version",
        "state",
        "seen",
        "rows_at_work",
    ]


def test_versions_that_differ_are_said_wherever_one_looks(curate: Call, filled: Filled) -> None:
    record_workers(
        filled.engine, [(None, THERE), (None, replace(THERE, host="here", version="0.0.2"))]
    )
    for command in ("workers", "status"):
        said = curate(command).err
        assert "0.0.1 on there; 0.0.2 on here" in said, command
        assert "install one version everywhere" in said
    doctor = next(c for c in curate("doctor", "--json").json if c["name"] == "workers")
    assert (doctor["result"], "0.0.1 on there" in doctor["detail"]) == ("FAIL", True)


def test_nothing_is_said_of_one_version(curate: Call, filled: Filled) -> None:
    record_workers(filled.engine, [(None, THERE), (None, replace(THERE, host="here"))])
    assert "versions" not in curate("workers").err
    assert "versions" not in curate("status").err


def test_other_code_of_one_version_is_a_difference(curate: Call, filled: Filled) -> None:
    """What a host writes of itself, as it does it; the other one has changed a file."""
    Heartbeat(filled.engine).beat([(WorkerSpec("cpu", 1, "cpu0"), 7)])
    assert (
        next(c for c in curate("doctor", "--json").json if c["name"] == "workers")["result"] == "OK"
    )
    with writing(filled.engine) as connection:
        connection.execute(
            text("UPDATE workers SET host = 'there', version = :v"),
            {"v": f"{__version__}+00000000"},
        )
    doctor = next(c for c in curate("doctor", "--json").json if c["name"] == "workers")
    assert (doctor["result"], f"{code_version()} here" in doctor["detail"]) == ("FAIL", True)


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
            wait_until(lambda: worker.poll() is not None or "ready" in log.read_text(), 60)
            wait_until(lambda: curate("worker", "--check").code == 0, 30)
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
