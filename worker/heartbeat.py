"""Writes heartbeats of Celery workers, pings them, and refuses those that must not run together."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Engine

import curate
from curate.configs.errors import ConfigError, ServiceError
from curate.configs.settings import Settings
from curate.db.engine import is_sqlite
from curate.db.reports.workers import SeenWorker, known_workers, version_warning
from curate.db.worker_rows import (
    BEAT_SECONDS,
    RECENT_SECONDS,
    RunningWorker,
    record_workers,
    remove_workers,
)
from curate.worker.broker import outages
from curate.worker.messages import make_app
from curate.worker.processes import WorkerSpec

log = logging.getLogger(__name__)


class Heartbeat:
    """Keeps the rows in `workers` of one supervisor up to date: those whose process runs."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._host = socket.gethostname()  # read once, because it may change
        self._row_ids: dict[str, int] = {}
        self._next = 0.0
        self._last_warning = ""

    def beat(self, running: Sequence[tuple[WorkerSpec, int | None]]) -> None:
        """Report the workers that have a process, given by spec and pid, if a heartbeat is due.

        Ignores a database that does not answer: the supervisor's dispatcher warns about it. Raises
        ConfigError if workers of another host share the SQLite file and were there first.
        """
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + BEAT_SECONDS
        version = curate.code_version()
        alive = [
            RunningWorker(spec.name, self._host, pid, spec.queue, spec.processes, spec.npu, version)
            for spec, pid in running
            if pid is not None
        ]
        try:
            row_ids = record_workers(
                self._engine, [(self._row_ids.get(worker.name), worker) for worker in alive]
            )
            self._row_ids |= {worker.name: i for worker, i in zip(alive, row_ids, strict=True)}
            seen = known_workers(self._engine)
        except ServiceError as error:
            log.debug("no heartbeat written: %s", error)
            return
        warning = version_warning(seen)
        if warning and warning != self._last_warning:
            log.warning("%s", warning)
        self._last_warning = warning
        if is_sqlite(self._engine):
            recent = [worker for worker in seen if worker.recent]
            first = min(recent, key=lambda w: (w.started_at, w.host), default=None)
            if first and first.host != self._host:
                raise _shared_sqlite(first)

    def leave(self) -> None:
        """Remove the rows, after the workers were stopped."""
        try:
            remove_workers(self._engine, self._row_ids.values())
        except ServiceError as error:  # another supervisor removes them once they are old
            log.debug("rows of workers not removed: %s", error)


def refuse_rivals(engine: Engine, specs: Sequence[WorkerSpec]) -> None:
    """Raise ConfigError if workers run that must not run beside these.

    Such are workers of another host on the same SQLite file, and workers of this host with the
    same name.
    """
    this_host = socket.gethostname()
    names = {spec.name for spec in specs}
    recent = [worker for worker in known_workers(engine) if worker.recent]
    for worker in recent:
        if is_sqlite(engine) and worker.host != this_host:
            raise _shared_sqlite(worker)
    for worker in recent:
        if worker.host == this_host and worker.name in names and _is_supervised(worker):
            why = (
                f"{worker.node} runs already (pid {worker.pid}); give these another name: curate"
                " worker --name NAME"
            )
            raise ConfigError(source="--name", why=why)


def some_run(engine: Engine) -> bool:
    """Whether any worker runs: one of this host under its supervisor, or one of another host that
    gave a sign of life just now. A broker may answer although there is none.
    """
    recent = [worker for worker in known_workers(engine) if worker.recent]
    this_host = socket.gethostname()
    return any(worker.host != this_host or _is_supervised(worker) for worker in recent)


def _shared_sqlite(other: SeenWorker) -> ConfigError:
    why = (
        f"{other.node} works on this SQLite file, and SQLite cannot be shared by several hosts;"
        " give a postgresql:// URL, or stop it first (one that was killed counts for"
        f" {RECENT_SECONDS:g} seconds)"
    )
    return ConfigError(source="CURATE_DATABASE_URL", why=why)


def _is_supervised(worker: SeenWorker) -> bool:
    """Whether a worker of this host and its supervisor both run.

    A worker whose supervisor was killed ends after its batch.
    """
    processes = Path("/proc")
    try:
        stat = (processes / str(worker.pid) / "stat").read_text()
        parent = stat.rpartition(")")[2].split()[1]
        command, supervisor = (
            (processes / pid / "cmdline").read_bytes() for pid in (str(worker.pid), parent)
        )
    except OSError:
        return False
    return f"{worker.name}@".encode() in command and b"curate" in supervisor


def answering(settings: Settings, nodes: Sequence[str], seconds: float = 3.0) -> set[str]:
    """The Celery workers among `nodes`, as name@host, that answer a ping within the time.

    Raises ServiceError if the broker does not take the ping.
    """
    app = make_app(settings)
    try:
        replies = app.control.broadcast(
            "ping", reply=True, destination=list(nodes), limit=len(nodes), timeout=seconds
        )
    except outages() as error:
        raise ServiceError(what="The broker", why=error) from None
    finally:
        app.close()
    return {node for reply in replies or () for node in reply}
