"""A process that is forked early and becomes a Celery worker when it is told which.

What the command has imported by then is not imported again: a second of CPU. It is forked before a
thread is started or a database opened, for neither survives a fork.
"""

from __future__ import annotations

import atexit
import ctypes
import json
import os
import sys
import threading
import traceback
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from curate.tasks.registry import stages
from curate.worker.stopping import end_with_parent

_waiting: list[PreparedWorker] = []


class PreparedWorker:
    """The process, with as much of subprocess.Popen as a supervisor uses."""

    def __init__(self, pid: int, pipe: int) -> None:
        self.pid = pid
        self._pipe = pipe
        self._code: int | None = None

    def begin(self, options: str, environment: Mapping[str, str], log: Path | None) -> bool:
        """Let it become the worker, as `curate.worker` with these options would; False: it is gone.

        It writes to `log`, or where this process writes.
        """
        order = {"options": options, "environment": dict(environment), "log": log and str(log)}
        try:
            with os.fdopen(self._pipe, "wb") as pipe:
                pipe.write(json.dumps(order).encode() + b"\n")
        except OSError:
            return False
        return self.poll() is None

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._ended(os.WNOHANG)

    def wait(self) -> int | None:
        """Wait until it ends; returns its exit code."""
        return self._ended(0)

    def send_signal(self, sign: int) -> None:
        """Send it a signal unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, sign)

    def _ended(self, options: int) -> int | None:
        if self._code is None:
            try:
                pid, status = os.waitpid(self.pid, options)
            except ChildProcessError:  # whoever ignores SIGCHLD is told nothing, as by Popen
                pid, status = self.pid, 0
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
        return self._code


def prepare_worker() -> None:
    """Fork a process that `take_prepared` gives to a supervisor; it ends with this one.

    Does nothing where a fork is not safe: elsewhere than on Linux, or beside other threads.
    """
    if sys.platform != "linux" or threading.active_count() > 1:
        return
    if len(os.listdir("/proc/self/task")) > 1:  # noqa: PTH208  threads of C libraries
        return
    stages()  # needed here as there
    reading, writing = os.pipe()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    try:
        pid = os.fork()
    except OSError:  # no room for one process more: then the worker starts by itself
        os.close(reading)
        os.close(writing)
        return
    if pid == 0:
        os.close(writing)
        _become_worker(reading)
    os.close(reading)
    _waiting.append(PreparedWorker(pid, writing))


def take_prepared() -> PreparedWorker | None:
    """The process that waits to become a worker; None: there is none."""
    return _waiting.pop() if _waiting else None


def _set_title(title: str) -> None:
    """What `ps` shows of this process, as far as there is room: that of the command's own words."""
    words = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, end = int(words[45]), int(words[46])  # arg_start and arg_end of proc(5)
    size = end - start
    if size > 1:
        ctypes.memmove(start, title.encode()[: size - 1].ljust(size, b"\0"), size)


def _become_worker(pipe: int) -> NoReturn:
    """Wait for the order, and be the worker until it ends; without an order, end."""
    code = 0
    try:
        os.setsid()
        end_with_parent()
        with os.fdopen(pipe, "rb") as given:
            # a line, not all there is: whatever else was forked may keep the pipe open
            text = given.readline()
        if text.endswith(b"\n"):
            order = json.loads(text)
            os.environ.clear()
            os.environ.update(order["environment"])
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            if order["log"]:
                log = os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
                os.dup2(log, 1)
                os.dup2(log, 2)
            _set_title(f"curate.worker {json.loads(order['options'])['hostname']}")
            sys.argv[1:] = [order["options"]]
            import_module("curate.worker.__main__").main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    except BaseException:  # noqa: BLE001  it must never go on with what the command does
        traceback.print_exc()
        code = 1
    finally:
        atexit._run_exitfuncs()
        os._exit(code)
