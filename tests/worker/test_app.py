"""The Celery app: a task a stage, and what it sends after a batch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from curate.configs.errors import ServiceError
from curate.configs.settings import Settings
from curate.tasks.registry import stages
from curate.worker import app
from curate.worker.messages import Messages, make_app
from curate.worker.processes import WorkerSpec
from curate.worker.runner import Runner
from tests.pipelines import Line, make_line
from tests.worker.test_dispatcher import SentMessages


@pytest.fixture
def line(database_url: str, home: Path, catalog: None, monkeypatch: pytest.MonkeyPatch) -> Line:
    line = make_line(database_url, home, ["score"])
    monkeypatch.setattr(app, "_runner", Runner(line.settings, line.engine))
    return line


def run(stage: str) -> str:
    """Run the task of a stage in this process; returns what Flower shows."""
    return str(app.app.tasks[f"stage.{stage}"].run())


def test_every_stage_is_a_task_named_after_it() -> None:
    assert {f"stage.{name}" for name in stages()} <= set(app.app.tasks)


FORKABLE = """
import json, os, sys
from curate.worker.app import preload
preload()
from curate.tasks.video.hashing import _hasher
hashers = _hasher.cache_info().currsize
print(json.dumps([len(os.listdir("/proc/self/task")), hashers, sorted(sys.modules)]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the threads of a process")
def test_what_processes_share_is_imported_before_they_are_forked(home: Path) -> None:
    environment = WorkerSpec("cpu", 1, "cpu0").environment(Settings(home=home))
    command = [sys.executable, "-c", FORKABLE]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    threads, hashers, modules = json.loads(done.stdout)
    assert threads == 1, "a thread does not survive a fork, and what it holds stays locked"
    assert {"av", "cv2", "numpy", "curate.tasks.video.scenes"} <= set(modules)
    assert hashers == 1
    assert not {"mindspore", "mindone", "rapidocr", "scenedetect.output"} & set(modules)


def test_a_stage_that_cannot_be_imported_does_not_end_the_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stages()["probe"], "imports", ("no_such_module",))
    app.preload()


def test_a_task_sends_a_message_for_what_is_to_be_done_next(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: Any = SentMessages()
    monkeypatch.setattr(app, "messages", sent)
    line.enqueue("b1.mp4")
    assert run("probe").startswith("1 video: 1 ok")
    assert sent.sent == [("split", line.dataset.id, False)]
    sent.waiting = app.FEW
    assert run("split").startswith("1 video: 1 ok")
    assert len(sent.sent) == 1, "enough wait already"


def test_a_task_without_rows_sends_nothing(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: Any = SentMessages()
    monkeypatch.setattr(app, "messages", sent)
    assert run("probe") == "nothing waiting"
    assert sent.sent == []


def test_a_broker_that_is_away_after_a_batch_loses_nothing(
    line: Line, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    away = Settings(home=line.settings.folder, broker_url="redis+socket:///nowhere/redis.sock")
    lost = Messages(make_app(away))
    monkeypatch.setattr(app, "messages", lost)
    assert app.app.tasks["stage.probe"].throws == (ServiceError,)
    monkeypatch.setattr("kombu.connection.Connection.connect_timeout", 0.1, raising=False)
    line.enqueue("b1.mp4")
    assert run("probe").startswith("1 video: 1 ok")
    assert "no message sent after a batch of stage probe" in caplog.text
