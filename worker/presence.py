"""Signs of life: what a supervisor writes about its Celery workers, and whether these answer a ping."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlalchemy import Engine

import curate
from curate.configs.errors import ServiceError
from curate.configs.settings import Settings
from curate.db import workers
from curate.worker.bells import make_app
from curate.worker.outages import outages

if TYPE_CHECKING:
    from curate.worker.plans import WorkerPlan

log = logging.getLogger(__name__)


class Presence:
    """Keeps the rows of one supervisor's workers. A worker whose process is gone gives no sign of life."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._ids: dict[str, int] = {}
        self._next = 0.0
        self._said = ""

    def beat(self, running: Sequence[tuple[WorkerPlan, int | None]]) -> None:
        """Report the workers that have a process, by plan and pid, when it is time to.

        A database that does not answer is left to the supervisor, which looks at it more often.
        """
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + workers.BEAT_SECONDS
        alive = [_running(plan, pid) for plan, pid in running if pid is not None]
        try:
            ids = workers.report(self._engine, [(self._ids.get(worker.name), worker) for worker in alive])
            self._ids |= {worker.name: row for worker, row in zip(alive, ids, strict=True)}
            self._compare_versions()
        except ServiceError as error:
            log.debug("no sign of life written: %s", error)

    def _compare_versions(self) -> None:
        said = workers.difference(workers.known(self._engine))
        if said and said != self._said:
            log.warning("%s", said)
        self._said = said

    def leave(self) -> None:
        """Remove the rows: the workers were stopped."""
        try:
            workers.leave(self._engine, self._ids.values())
        except ServiceError as error:  # they are removed when they are old
            log.debug("rows of workers not removed: %s", error)


def _running(plan: WorkerPlan, pid: int) -> workers.Running:
    place = (plan.name, socket.gethostname(), pid)
    return workers.Running(*place, plan.queue, plan.processes, plan.npu, curate.code_version())


def answering(settings: Settings, nodes: Sequence[str], seconds: float = 3.0) -> set[str]:
    """Which of the Celery workers, as name@host, answer a ping within the time.

    Raises ServiceError when the broker does not take it.
    """
    app = make_app(settings)
    try:
        replies = app.control.broadcast("ping", reply=True, destination=list(nodes), limit=len(nodes), timeout=seconds)
    except outages() as error:
        raise ServiceError(what="The broker", why=error) from None
    finally:
        app.close()
    return {node for reply in replies or () for node in reply}
