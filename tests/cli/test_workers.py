"""worker and flower: refused where they would do harm, and stopped by a signal."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from curate.cli.workers import checked_queues, refuse_open_flower, refuse_shared_sqlite
from curate.configs.errors import ConfigError, UsageError
from curate.configs.settings import Settings
from tests.pipelines import wait_until


def test_queues() -> None:
    assert checked_queues("cpu, ascend,cpu") == ("cpu", "ascend")
    for wrong in ("", "gpu", "cpu,gpu"):
        with pytest.raises(UsageError):
            checked_queues(wrong)


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
    refuse_open_flower("127.0.0.1")
    refuse_open_flower("::1")
    monkeypatch.delenv("FLOWER_BASIC_AUTH", raising=False)
    with pytest.raises(UsageError, match="FLOWER_BASIC_AUTH"):
        refuse_open_flower("0.0.0.0")
    monkeypatch.setenv("FLOWER_BASIC_AUTH", "me:secret")
    refuse_open_flower("0.0.0.0")


def program(log: Path, *argv: str) -> subprocess.Popen[bytes]:
    """The real program, its stderr in a file."""
    with log.open("wb") as stream:
        return subprocess.Popen([sys.executable, "-m", "curate.cli.main", *argv], stdout=stream, stderr=stream)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_flower_answers_on_this_host_and_stops(tmp_path: Path) -> None:
    port = free_port()
    log = tmp_path / "log"

    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/tasks", timeout=5) as page:
                return bool(page.status == 200)
        except OSError:
            return False

    with program(log, "flower", "--port", str(port)) as flower:
        try:
            wait_until(lambda: flower.poll() is not None or answers(), 60)
        finally:
            flower.send_signal(signal.SIGTERM)
    assert flower.returncode == 0, log.read_text()
    assert f"http://127.0.0.1:{port}" in log.read_text()


def test_a_worker_stops_at_a_signal(tmp_path: Path, home: Path) -> None:
    log = tmp_path / "log"
    with program(log, "worker", "-c", "1", "-n", "solo") as worker:
        try:
            wait_until(lambda: worker.poll() is not None or "ready" in log.read_text(), 60)
        finally:
            worker.send_signal(signal.SIGTERM)
    said = log.read_text()
    assert (worker.returncode, "worker stopped" in said) == (0, True), said
    assert "solo@" in said
    assert not list(home.glob("broker/redis.sock")) or os.environ.get("XDG_RUNTIME_DIR")
