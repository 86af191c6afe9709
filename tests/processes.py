"""Processes that tests and benchmarks start, find and kill."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

# the command line as users start it, of the environment that runs the tests
CURATE = str(Path(sys.executable).with_name("curate"))


def processes(home: Path, word: str) -> list[int]:
    """Pids of processes of the home folder whose command line holds `word`.

    Redis writes its title over its environment, but names its socket in it.
    """
    pids = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            line = (folder / "cmdline").read_bytes()
            ours = f"CURATE_HOME={home}".encode() in (folder / "environ").read_bytes().split(b"\0")
            if word.encode() in line and (ours or f"{home}/".encode() in line):
                pids.append(int(folder.name))
    return pids


def redis_of(home: Path) -> list[int]:
    """Pids of the embedded Redis of a home folder: its command line names its socket."""
    return processes(home, "redis-server")


def descendants(pid: int) -> list[int]:
    """The process itself and all processes below it."""
    pids = [pid]
    for parent in pids:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{parent}/task").iterdir():
                children = map(int, (task / "children").read_text().split())
                pids += [child for child in children if child not in pids]
    return pids


def send(pids: Iterable[int], sign: signal.Signals) -> int:
    """Send a signal to each process that is still there; returns how many there were."""
    count = 0
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, sign)
            count += 1
    return count


def kill(pids: Iterable[int]) -> int:
    """kill -9; returns how many were still there."""
    return send(pids, signal.SIGKILL)


def end_with_parent() -> None:
    """Have the kernel kill this process when its parent is gone, however the parent ended.

    For `preexec_fn`: runs in the child before its program starts.
    """
    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
