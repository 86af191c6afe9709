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

from curate.configs.identity import TELLS_STARTS, host_id, started


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
    if not TELLS_STARTS:
        return []
    host = host_id()
    dead = []
    for owner in owners:
        if owner.startswith(f"{host}|"):
            _, _, pid, since, _ = owner.split("|")
            if started(int(pid)) != since:
                dead.append(owner)
    return dead


@cache
def _process(pid: int) -> str:
    return f"{host_id()}|{pid}|{started(pid)}"  # cached: reading /proc is slow for each batch
