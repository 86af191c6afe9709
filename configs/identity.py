"""This process and others of this host, by names that no other process ever has."""

from __future__ import annotations

import hashlib
import os
import socket
from functools import cache
from pathlib import Path

# whether this host tells when a process started
TELLS_STARTS = Path("/proc/self/stat").exists()


def host_id() -> str:
    """This host since its start: ``host|boot id/pid namespace``.

    The namespace tells apart containers that share a host name.
    """
    try:
        namespace = Path("/proc/self/ns/pid").readlink().name
        # two hosts may share a name
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        namespace = boot = "-"
    return f"{socket.gethostname()}|{boot}/{namespace}"


def started(pid: int) -> str:
    """The start time of a process, in clock ticks since boot; empty if it is gone or unknown.

    It tells a reused pid apart.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]


@cache
def process_mark() -> str:
    """A short text for file names that names this process: ``host-boot-pid-start``."""
    pid = os.getpid()
    return "-".join([*_host_mark(), str(pid), started(pid) or "0"])


os.register_at_fork(after_in_child=process_mark.cache_clear)


def _host_mark() -> list[str]:
    return [hashlib.blake2s(p.encode(), digest_size=4).hexdigest() for p in host_id().split("|")]


def lives(mark: str) -> bool | None:
    """Whether the process with this mark lives; None where this host cannot tell."""
    *host, pid, start = mark.split("-")
    if not TELLS_STARTS or host != _host_mark():
        return None
    return started(int(pid)) == start


def of_this_host(mark: str) -> bool:
    """Whether a mark is that of a process of this host, perhaps before it was started again."""
    return mark.split("-")[0] == _host_mark()[0]
