"""flower: shows workers and queues, and is stopped by a signal."""

from __future__ import annotations

import json
import signal
import urllib.request
from pathlib import Path

import pytest

from tests.cli.conftest import free_port, program
from tests.pipelines import wait_until


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
