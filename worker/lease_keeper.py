"""A thread that renews the lease of the running batch, tells how far it is, and ends it at its time
limit.
"""

from __future__ import annotations

import contextlib
import contextvars
import logging
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sqlalchemy import Engine

from curate.configs.errors import ServiceError
from curate.configs.row_errors import StageTimeout
from curate.db.engine import writing
from curate.db.queue.leases import Claim, expire_rows, renew
from curate.db.save.batch import Outcomes, Writer, save
from curate.worker.progress import WRITE_SECONDS, ProgressFile

log = logging.getLogger(__name__)


def end_process() -> None:
    """Kill this process at once: nothing else stops a decoder that hangs inside C code."""
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class _Lease:
    """The lease of the running batch; both times are by `time.monotonic`."""

    claim: Claim
    context: contextvars.Context  # the fields that log lines about the batch carry
    renew_at: float
    deadline: float  # the end of the batch's time limit
    tell_at: float = math.inf  # when its progress is written

    @property
    def due(self) -> float:
        return min(self.renew_at, self.deadline, self.tell_at)


class LeaseKeeper:
    """Renews the lease of the running batch, each time a third of its length has passed, and what
    `also_renew` renews.

    At the time limit, a row that is alone in its batch fails as StageTimeout; the rows of a larger
    batch expire, and are tried again in halves. Then `on_timeout` ends the process, because Python
    cannot stop a thread inside C code. One thread serves all batches of a process: starting one for
    each batch would cost as much as saving a small batch.
    """

    def __init__(
        self,
        engine: Engine,
        writer: Writer,
        on_timeout: Callable[[], None] = end_process,
        progress: ProgressFile | None = None,
        also_renew: Callable[[], None] = lambda: None,
    ) -> None:
        self._engine = engine
        self._writer = writer
        self._on_timeout = on_timeout
        self._progress = progress
        self._also_renew = also_renew
        self._lease: _Lease | None = None
        self._changed = threading.Condition()  # also locked while a lease is renewed or ended
        self._wakes_at = math.inf
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def keep(self, claim: Claim) -> Iterator[None]:
        """Renew the lease of a claim while the block runs; one claim at a time."""
        started = time.monotonic()
        renew_at = started + claim.request.lease_seconds / 3
        deadline = started + claim.request.step.options.time_limit
        lease = _Lease(claim, contextvars.copy_context(), renew_at, deadline)
        if self._progress:
            lease.tell_at = started + WRITE_SECONDS
        with self._changed:
            self._lease = lease
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="lease-keeper", daemon=True)
                self._thread.start()
            elif lease.due < self._wakes_at:
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._lease = None

    def _run(self) -> None:
        with self._changed:
            while True:
                # a batch that is due later than the last one does not wake this thread: when it
                # wakes for the last one, it finds the new one
                self._wakes_at = self._lease.due if self._lease else math.inf
                wait = self._wakes_at - time.monotonic()
                self._changed.wait(max(0.0, wait) if self._lease else None)
                if self._lease and time.monotonic() >= self._lease.due:
                    self._lease.context.run(self._attend, self._lease)

    def _attend(self, lease: _Lease) -> None:
        """Renew the lease and tell the progress, as due; end the batch if its time is over."""
        now = time.monotonic()
        if now >= lease.deadline:
            self._lease = None
            self._end_batch(lease.claim)
            return
        if self._progress and now >= lease.tell_at:
            self._progress.write()
            lease.tell_at = now + WRITE_SECONDS
        if now < lease.renew_at:
            return
        lease.renew_at = now + lease.claim.request.lease_seconds / 3
        try:
            renew(self._engine, lease.claim)
            self._also_renew()
        except ServiceError as error:
            # the next renewal may succeed; if not, `save` leaves rows of another owner alone
            log.warning("lease not renewed: %s", error)

    def _end_batch(self, claim: Claim) -> None:
        request = claim.request
        step = request.step
        try:
            if len(claim.rows) == 1:
                error = StageTimeout(stage=step.name, seconds=f"{step.options.time_limit:g}")
                failed = {claim.ids[0]: (type(error).__name__, str(error))}
                save(self._engine, claim, Outcomes(failed=failed), self._writer)
            else:
                with writing(self._engine) as connection:
                    expire_rows(connection, request.dataset_id, [request.owner], step)
            log.error("stage %s: batch of %d stopped at its time limit", step.name, len(claim.rows))
        finally:
            self._on_timeout()
