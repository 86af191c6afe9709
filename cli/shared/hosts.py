"""What several commands say of hosts and their workers."""

from __future__ import annotations

import socket
from typing import Any

from sqlalchemy import Engine

import curate
from curate.db.reports.workers import SeenWorker, known_workers, version_warning


def worker_json(worker: SeenWorker) -> dict[str, Any]:
    """A worker as JSON; times are unix seconds."""
    return {
        "host": worker.host, "name": worker.name, "queue": worker.queue,
        "processes": worker.processes, "npu": worker.npu, "version": worker.version,
        "pid": worker.pid, "state": "running" if worker.recent else "lost",
        "started_at": worker.started_at, "seen_at": worker.seen_at,
        "seen_seconds_ago": round(worker.age, 1),
    }  # fmt: skip


def version_difference(engine: Engine, with_this_host: bool = False) -> str:
    """A warning when hosts with workers (and this one) run other versions of curate, else an
    empty text.
    """
    own = (curate.code_version(), socket.gethostname()) if with_this_host else None
    return version_warning(known_workers(engine), own)
