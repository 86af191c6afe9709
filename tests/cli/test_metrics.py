"""metrics and history on the command line."""

from __future__ import annotations

import signal
import socket
import time
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from curate.cli.metrics import LOGIN, check_login
from curate.cli.shared.serving import refuse_open_address
from curate.configs.errors import UsageError
from curate.db.engine import writing
from tests.cli.conftest import Call, Filled
from tests.cli.test_workers import free_port, program
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


def test_history_and_pruning(curate: Call, filled: Filled) -> None:
    (row,) = curate("history", "--json").json
    assert (row["stage"], row["batches"], row["ok"], row["failed"], row["versions"]) == (
        "probe",
        1,
        2,
        1,
        ["0"],
    )
    assert row["rows_per_busy_second"] == pytest.approx(3)
    head, line = curate("history").out.splitlines()
    assert head.split()[:5] == ["stage", "batches", "ok", "failed", "given_back"]
    assert line.split()[:5] == ["probe", "1", "2", "1", "0"]
    with writing(filled.engine) as connection:
        connection.execute(
            text("UPDATE batches SET started_at = :t"), {"t": time.time() - 3 * 86400}
        )
    assert "0 batches deleted" in curate("history", "--prune", "4").err
    assert "1 batch deleted" in curate("history", "--prune", "2").err
    assert curate("history", "--prune", "0.5").code == 2


def test_status_tells_what_is_left(curate: Call, filled: Filled) -> None:
    with writing(filled.engine) as connection:
        same = "dataset_id, worker, n_ok, n_failed, started_at, seconds, version"
        for stage in ("motion", "cut"):
            copied = f"INSERT INTO batches (stage, {same}) SELECT :s, {same} FROM batches WHERE stage = 'probe'"
            connection.execute(text(copied), {"s": stage})
    found = curate("status", "--json").json
    rates = {s["stage"]: s["rate"] for s in found["stages"]}
    assert found["eta_seconds"] == pytest.approx(2 / rates["motion"], rel=0.01), (
        "2 clips wait for motion, 2 for cut"
    )
    assert " left" in curate("status").out
