"""worker and flower: refused where they would do harm, and stopped by a signal."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from curate.cli.flower import LOGIN
from curate.cli.shared.local_run import refuse_shared_sqlite
from curate.cli.shared.serving import refuse_open_address
from curate.cli.worker import parse_npus, parse_queues
from curate.configs.errors import ConfigError, UsageError
from curate.configs.settings import Settings
from tests.cli.conftest import Call
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


@pytest.mark.parametrize(
    ("broker", "database", "refused"),
    [
        ("", "", False),
        ("redis://localhost/0", "", False),
        ("redis+socket:///x/y.sock", "", False),
        ("redis://10.0.0.7/0", "", True),
        ("amqp://me:secret@rabbit//", "sqlite:////shared/curate.db", True),
        ("redis://10.0.0.7/0", "postgresql://db/x", False),
    ],
)
def test_sqlite_is_not_shared_between_hosts(broker: str, database: str, refused: bool) -> None:
    settings = Settings(broker_url=broker, database_url=database)
    if not refused:
        refuse_shared_sqlite(settings)
        return
    with pytest.raises(ConfigError, match="postgresql://") as error:
        refuse_shared_sqlite(settings)
    assert "secret" not in str(error.value)


def test_flower_needs_a_login_on_other_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_open_address("127.0.0.1", 5555, LOGIN)
    refuse_open_address("::1", 5555, LOGIN)
    monkeypatch.delenv("FLOWER_BASIC_AUTH", raising=False)
    with pytest.raises(UsageError, match="FLOWER_BASIC_AUTH"):
        refuse_open_address("0.0.0.0", 5555, LOGIN)
    monkeypatch.setenv("FLOWER_BASIC_AUTH", "me:secret")
    refuse_open_address("0.0.0.0", 5555, LOGIN)


def program(log: Path, *argv: str) -> subprocess.Popen[bytes]:
    """The real program, its stderr in a file."""
    with log.open("wb") as stream:
        return subprocess.Popen(
            [sys.executable, "-m", "curate.cli.main", *argv], stdout=stream, stderr=stream
        )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def page(port: int, path: str) -> str:
    """A page of Flower; empty while there is none."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=10) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


def test_flower_shows_both_queues_and_their_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLOWER_UNAUTHENTICATED_API", "1")
    port = free_port()
    logs = [tmp_path / "worker", tmp_path / "flower"]

    def found() -> dict[str, list[str]]:
        answer = json.loads(page(port, "api/workers?refresh=1") or "{}")
        return {
            n.partition("@")[0]: [q["name"] for q in w.get("active_queues", [])]
            for n, w in answer.items()
        }

    def queues() -> set[str]:
        answer = json.loads(page(port, "api/queues/length") or "{}")
        return {q["name"] for q in answer.get("active_queues", [])}

    with (
        program(logs[0], "worker", "-c", "1") as worker,
        program(logs[1], "flower", "--port", str(port)) as flower,
    ):
        try:
            wait_until(lambda: found() == {"cpu0": ["cpu"], "ascend0": ["ascend"]}, 90)
            wait_until(
                lambda: all(f"{name}@" in page(port, "workers") for name in ("cpu0", "ascend0")), 30
            )
            wait_until(lambda: queues() == {"cpu", "ascend"}, 30)
        finally:
            worker.send_signal(signal.SIGTERM)
            flower.send_signal(signal.SIGTERM)
    assert (worker.returncode, flower.returncode) == (0, 0), [log.read_text() for log in logs]
    assert f"http://127.0.0.1:{port}" in logs[1].read_text()


def test_a_worker_stops_at_a_signal(tmp_path: Path, home: Path) -> None:
    log = tmp_path / "log"
    with program(log, "worker", "-c", "1", "-n", "solo") as worker:
        try:
            wait_until(
                lambda: worker.poll() is not None or log.read_text().count(" ready.") == 2, 60
            )
        finally:
            worker.send_signal(signal.SIGTERM)
    said = log.read_text()
    assert (worker.returncode, "worker stopped" in said) == (0, True), said
    assert "solo-cpu0 serves cpu with 1 process; solo-ascend0 serves ascend with 1 process" in said
    assert all(f"solo-{name}@" in said for name in ("cpu0", "ascend0"))
    assert not list(home.glob("broker/redis.sock")) or os.environ.get("XDG_RUNTIME_DIR")
