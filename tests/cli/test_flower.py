"""flower: shows workers and queues, and is stopped by a signal."""

from __future__ import annotations

import http.client
import json
import signal
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from kombu.message import Message

from curate.configs.settings import Settings
from curate.worker.messages import make_app
from curate.worker.request import Request
from tests.cli.conftest import free_port, program
from tests.pipelines import wait_until

BEGUN: dict[str, Any] = {
    "body": b"[[], {}, {}]",
    "content_type": "application/json",
    "content_encoding": "utf-8",
    "headers": {"id": "7", "task": "stage.probe", "kwargsrepr": "{'dataset': 1}"},
    "delivery_info": {"routing_key": "cpu"},
}
PATHS = ("", "tasks", "api/tasks", "metrics", "healthcheck", "static/js/flower.js", "nowhere")


def page(port: int, path: str) -> str:
    """A page of Flower; empty while there is none."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=10) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


def status_of(port: int, path: str, host: str) -> int:
    """The HTTP status of a request for a host."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("GET", f"/{path}", headers={"Host": host})
        return connection.getresponse().status


def tasks(port: int) -> dict[str, dict[str, Any]]:
    """The tasks that Flower shows, by their ids."""
    return dict(json.loads(page(port, "api/tasks") or "{}"))


def test_flower_names_tasks_that_began_before_it_and_keeps_them_for_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    monkeypatch.setenv("FLOWER_UNAUTHENTICATED_API", "1")
    monkeypatch.chdir(tmp_path)
    Path("flowerconfig.py").write_text("raise SystemExit('a file of the folder was run')")
    port, told = free_port(), list[dict[str, dict[str, Any]]]()
    words = ("flower", "--port", str(port))
    with program(tmp_path / "first", *words) as flower:
        try:
            wait_until(lambda: status_of_when_there(port) == 200, 60)
            with make_app(Settings(home=home)) as app, app.connection_for_write() as connection:
                # of a task whose first event, which Celery names it in, came before Flower
                dispatcher = app.events.Dispatcher(connection, hostname="cpu0@here")
                task = app.task(status_of, name="stage.probe", shared=False)
                begun = Request(Message(**BEGUN), app=app, task=task, eventer=dispatcher)

                def seen() -> bool:
                    begun.send_event("task-succeeded", runtime=1.0)
                    return bool(tasks(port))

                wait_until(seen)
                told.append(tasks(port))
        finally:
            flower.send_signal(signal.SIGTERM)
    with program(tmp_path / "second", *words) as flower:
        try:
            wait_until(lambda: status_of_when_there(port) == 200, 60)
            told.append(tasks(port))
            foreign = ["evil.example", "127.0.0.1.evil.example", f"evil.example:{port}", "10.0.0.1"]
            asked = [
                status_of(port, path, host)
                for host in foreign
                for path in (
                    "",
                    "tasks",
                    "api/tasks",
                    "metrics",
                    "healthcheck",
                    "static/js/flower.js",
                )
            ]
            own = [status_of(port, "metrics", h) for h in ("localhost", f"[::1]:{port}")]
        finally:
            flower.send_signal(signal.SIGTERM)
    for found in told:
        assert [(i, task["name"], task["state"]) for i, task in found.items()] == [
            ("7", "stage.probe", "SUCCESS")
        ]
    assert (set(asked), own) == ({403}, [200, 200])
    assert (home / "flower").stat().st_mode & 0o777 == 0o700


def status_of_when_there(port: int) -> int:
    """The status of Flower's health check; 0 while there is none."""
    try:
        return status_of(port, "healthcheck", "localhost")
    except OSError:
        return 0


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
