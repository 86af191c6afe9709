"""Signs of life: what a supervisor writes of its Celery workers, whether they answer, and who must
not run beside.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

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
from curate.worker.messages import make_app
from curate.worker.outages import outages

if TYPE_CHECKING:
    from curate.worker.processes import WorkerSpec

log = logging.getLogger(__name__)


class Heartbeat:
    """Keeps the rows of one supervisor's workers. A worker whose process is gone gives no sign of
    life.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._host = socket.gethostname()  # as it was: it may change
        self._ids: dict[str, int] = {}
        self._next = 0.0
        self._said = ""

    def beat(self, running: Sequence[tuple[WorkerSpec, int | None]]) -> None:
        """Report the workers that have a process, by plan and pid, when it is time to.

        A database that does not answer is left to the supervisor, which looks at it more often.
        Raises ConfigError when workers of another host, which were there first, share a SQLite
        file.
        """
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + BEAT_SECONDS
        alive = [self._running(plan, pid) for plan, pid in running if pid is not None]
        try:
            ids = record_workers(
                self._engine, [(self._ids.get(worker.name), worker) for worker in alive]
            )
            self._ids |= {worker.name: row for worker, row in zip(alive, ids, strict=True)}
            found = known_workers(self._engine)
            self._compare_versions(found)
            if is_sqlite(self._engine):
                _refuse_shared(_first_elsewhere(found, self._host))
        except ServiceError as error:
            log.debug("no sign of life written: %s", error)

    def _compare_versions(self, found: Sequence[SeenWorker]) -> None:
        said = version_warning(found)
        if said and said != self._said:
            log.warning("%s", said)
        self._said = said

    def _running(self, plan: WorkerSpec, pid: int) -> RunningWorker:
        version = curate.code_version()
        return RunningWorker(
            plan.name, self._host, pid, plan.queue, plan.processes, plan.npu, version
        )

    def leave(self) -> None:
        """Remove the rows: the workers were stopped."""
        try:
            remove_workers(self._engine, self._ids.values())
        except ServiceError as error:  # they are removed when they are old
            log.debug("rows of workers not removed: %s", error)


def refuse_rivals(engine: Engine, plans: Sequence[WorkerSpec]) -> None:
    """Raise ConfigError for workers that run and must not run beside these.

    They are those of another host on a SQLite file, and those of this host with the name of one of
    these.
    """
    here = socket.gethostname()
    recent = [worker for worker in known_workers(engine) if worker.recent]
    if is_sqlite(engine):
        _refuse_shared(next((worker for worker in recent if worker.host != here), None))
    names = {plan.name for plan in plans}
    for worker in recent:
        if worker.host == here and worker.name in names and _is_kept(worker):
            why = f"{worker.node} runs already (pid {worker.pid}); give these another name: curate worker --name NAME"
            raise ConfigError(source="--name", why=why)


def _refuse_shared(other: SeenWorker | None) -> None:
    if other is not None:
        why = (
            f"{other.node} works on this SQLite file, and SQLite cannot be shared by several hosts; give a"
            f" postgresql:// URL, or stop it first (one that was killed counts for {RECENT_SECONDS:g} seconds)"
        )
        raise ConfigError(source="CURATE_DATABASE_URL", why=why)


def _first_elsewhere(found: Iterable[SeenWorker], here: str) -> SeenWorker | None:
    """The worker that started first of those that run, when it is one of another host."""
    first = min((w for w in found if w.recent), key=lambda w: (w.started_at, w.host), default=None)
    return first if first and first.host != here else None


def _is_kept(worker: SeenWorker) -> bool:
    """Whether it lives and so does its supervisor: where that was killed, the worker ends after its
    batch.
    """
    try:
        parent = Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2].split()[1]
        return f"{worker.name}@" in _command(worker.pid) and "curate" in _command(int(parent))
    except OSError:
        return False


def _command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")


def answering(settings: Settings, nodes: Sequence[str], seconds: float = 3.0) -> set[str]:
    """Which of the Celery workers, as name@host, answer a ping within the time.

    Raises ServiceError when the broker does not take it.
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
