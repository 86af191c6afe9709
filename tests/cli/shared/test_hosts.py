"""What commands say of hosts that run other versions."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import text

from curate import __version__, code_version
from curate.db.engine import writing
from curate.db.worker_rows import RunningWorker, record_workers
from curate.worker.heartbeat import Heartbeat
from curate.worker.processes import WorkerSpec
from tests.cli.conftest import Call, Filled

THERE = RunningWorker("cpu0", "there", 9, "cpu", 8, None, "0.0.1")


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
