"""The owner of a claim: a text that identifies the process that holds it.

The form is ``host|boot id/pid namespace|pid|start time of the process|batch``. The start time tells
a reused pid apart, the namespace tells apart containers that share a host name.
"""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Iterable
from functools import cache
from pathlib import Path


def new_owner() -> str:
    """The owner text of a new batch of this process."""
    return f"{_process(os.getpid())}|{uuid.uuid4().hex[:12]}"


def worker_name() -> str:
    """The name of this process for people: pid@host."""
    return f"{os.getpid()}@{socket.gethostname()}"


def dead_owners(owners: Iterable[str]) -> list[str]:
    """Those owners that were processes of this host and are gone.

    This host cannot tell whether processes of other hosts live.
    """
    if not Path("/proc/self/stat").exists():
        return []
    host = _host_id()
    dead = []
    for owner in owners:
        if owner.startswith(f"{host}|"):
            _, _, pid, started, _ = owner.split("|")
            if _started(int(pid)) != started:
                dead.append(owner)
    return dead


@cache
def _process(pid: int) -> str:
    return f"{_host_id()}|{pid}|{_started(pid)}"  # cached: reading /proc is slow for each batch


def _host_id() -> str:
    try:
        namespace = Path("/proc/self/ns/pid").readlink().name
        # two hosts may share a name
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        namespace = boot = "-"
    return f"{socket.gethostname()}|{boot}/{namespace}"


def _started(pid: int) -> str:
    """The start time of a process, in clock ticks since boot; empty if it is gone or unknown."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]
