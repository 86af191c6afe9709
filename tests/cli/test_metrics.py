"""metrics: what Prometheus reads, and who may read it."""

from __future__ import annotations

import signal
import socket
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from curate.cli.metrics import LOGIN, check_login
from curate.cli.shared.serving import refuse_open_address
from curate.configs.errors import UsageError
from tests.cli.conftest import Call, Filled, free_port, program
from tests.pipelines import wait_until


def test_once_prints_what_prometheus_reads(curate: Call, filled: Filled) -> None:
    families = {f.name: f for f in text_string_to_metric_families(curate("metrics", "--once").out)}
    clips = {tuple(s.labels.values()): s.value for s in families["curate_clips"].samples}
    assert clips["pets", "done", "kept"] == 3
    failed = {s.labels["reason"]: s.value for s in families["curate_failed_rows"].samples}
    assert failed == {"EmptyFile": 1, "CutMismatch": 1}


@pytest.mark.parametrize(
    ("address", "login", "refused"),
    [
        ("127.0.0.1", "", False),
        ("::1", "", False),
        ("0.0.0.0", "", True),
        ("", "", True),
        ("0.0.0.0", "me:hush", False),
        ("0.0.0.0", "hush", True),
        ("0.0.0.0", ":", True),
        ("127.0.0.1", "hush", True),
    ],
)
def test_other_addresses_need_a_login(
    address: str, login: str, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LOGIN, login)
    if not refused:
        check_login(login)
        refuse_open_address(address, 1, LOGIN)
        return
    with pytest.raises(UsageError, match="CURATE_METRICS_AUTH") as error:
        check_login(login)
        refuse_open_address(address, 1, LOGIN)
    assert "hush" not in str(error.value)


def test_a_port_that_is_taken(curate: Call, filled: Filled) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = curate("metrics", "--port", str(taken.getsockname()[1]))
    assert (result.code, "--port" in result.err) == (4, True)


def test_it_serves_until_it_is_told_to_stop(filled: Filled, tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "log"
    with program(log, "metrics", "--port", str(port)) as serving:
        try:
            wait_until(lambda: serving.poll() is not None or "/metrics" in log.read_text(), 60)
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
                assert b"curate_clips" in answer.read()
        finally:
            serving.send_signal(signal.SIGTERM)
    assert serving.returncode == 0, log.read_text()
