"""The processes of a home folder, found by their environment or command line, so that tests can
kill them.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path


def processes(home: Path, word: str) -> list[int]:
    """Pids of processes of the home folder whose command line holds `word`.

    Redis writes its title over its environment, but names its socket in it.
    """
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            line = (folder / "cmdline").read_bytes()
            ours = f"CURATE_HOME={home}".encode() in (folder / "environ").read_bytes().split(b"\0")
            if word.encode() in line and (ours or f"{home}/".encode() in line):
                found.append(int(folder.name))
    return found


def kill(pids: list[int]) -> int:
    """kill -9; returns how many were still there."""
    killed = 0
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            killed += 1
    return killed
