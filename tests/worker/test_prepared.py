"""A process is forked early; it becomes a worker when it is told to, and ends with its parent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from curate.worker.prepared import PreparedWorker, prepare_worker, take_prepared
from tests.pipelines import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forked on Linux only")

PROGRAM = """
import json, os, signal, sys
from curate.worker.prepared import prepare_worker, take_prepared
from curate.worker.stopping import end_with_parent
prepare_worker()
worker = take_prepared()
if len(sys.argv) > 1:
    bystander = os.fork()  # keeps the pipe open
    if not bystander:
        end_with_parent()
        signal.pause()
    assert worker.begin(sys.argv[1], {**os.environ, "WHO": "worker"}, sys.argv[2])
    print(worker.wait())
    os.kill(bystander, signal.SIGKILL)
else:
    print(worker.pid, flush=True)
"""


def run(*arguments: str) -> str:
    command = [sys.executable, "-c", PROGRAM, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()


def test_it_ends_with_its_parent_when_there_is_nothing_to_do() -> None:
    pid = run()
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), 20)


def test_it_becomes_a_worker_with_its_options_and_environment(tmp_path: Path) -> None:
    log = tmp_path / "log"
    # options that Celery does not take: the worker ends with an error that names them
    assert run(json.dumps({"queues": "nowhere", "hostname": "w@h"}), str(log)) == "1"
    assert "nowhere" in log.read_text()


def test_nothing_is_forked_beside_other_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fork", lambda: pytest.fail("forked"))
    ended = threading.Event()
    thread = threading.Thread(target=ended.wait)
    thread.start()
    try:
        prepare_worker()
    finally:
        ended.set()
        thread.join()
    assert take_prepared() is None


def test_without_room_for_one_process_more_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> int:
        raise BlockingIOError

    monkeypatch.setattr(threading, "active_count", lambda: 1)
    tasks, listdir = "/proc/self/task", os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: ["1"] if path == tasks else listdir(path))
    monkeypatch.setattr(os, "fork", refused)
    prepare_worker()
    assert take_prepared() is None


def test_the_end_of_a_process_that_somebody_else_waited_for_is_known() -> None:
    child = subprocess.Popen([sys.executable, "-S", "-c", ""])
    child.wait()
    assert PreparedWorker(child.pid, -1).poll() == 0


def test_ps_shows_what_it_has_become() -> None:
    title = "from curate.worker.prepared import _set_title; _set_title('curate.worker w@h')"
    show = "print(open('/proc/self/cmdline').read().rstrip(chr(0)))"
    done = subprocess.run(
        [sys.executable, "-c", f"{title}; {show}"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "curate.worker w@h"
