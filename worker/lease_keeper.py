"""Watches a batch from a thread beside it: renews its lease, and ends it when its time is over."""

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

from curate.configs.errors import ServiceError, StageTimeout
from curate.db.queue.leases import Claim, give_back, renew
from curate.db.save.batch import Findings, Writer, save

log = logging.getLogger(__name__)


def end_process() -> None:
    """Kill this process at once: a decoder that hangs inside C code listens to nothing else."""
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class _Held:
    """A batch that is watched, and when (monotonic) its lease is renewed next and its time is over."""

    claim: Claim
    context: contextvars.Context  # what the log says about the batch
    renew_at: float
    deadline: float

    @property
    def due(self) -> float:
        return min(self.renew_at, self.deadline)


class Watch:
    """Holds claims while their batches run: renewed every third of a lease, ended at the time
    limit.

    At the limit a row alone in its batch fails as StageTimeout, and a larger batch is given back to
    be tried in halves; then `on_timeout` ends the process, since Python cannot stop a thread inside
    C code. One thread a process, for starting one for each batch costs as much as saving a small
    one.
    """

    def __init__(
        self, engine: Engine, writer: Writer, on_timeout: Callable[[], None] = end_process
    ) -> None:
        self._engine = engine
        self._writer = writer
        self._on_timeout = on_timeout
        self._held: _Held | None = None
        self._changed = threading.Condition()  # held also while a batch is renewed or ended
        self._wakes_at = math.inf
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def over(self, claim: Claim) -> Iterator[None]:
        """Watch a batch; one at a time."""
        started = time.monotonic()
        times = (
            started + claim.want.lease_seconds / 3,
            started + claim.want.step.options.time_limit,
        )
        self._watch(_Held(claim, contextvars.copy_context(), *times))
        try:
            yield
        finally:
            with self._changed:
                self._held = None

    def _watch(self, held: _Held) -> None:
        with self._changed:
            self._held = held
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
                self._thread.start()
            elif held.due < self._wakes_at:
                self._changed.notify()

    def _run(self) -> None:
        with self._changed:
            while True:
                # it is not woken for each batch: it finds a later one when it wakes for an earlier
                self._wakes_at = self._held.due if self._held else math.inf
                self._changed.wait(
                    None if self._held is None else max(0.0, self._wakes_at - time.monotonic())
                )
                if self._held and time.monotonic() >= self._held.due:
                    self._held.context.run(self._attend, self._held)

    def _attend(self, held: _Held) -> None:
        if time.monotonic() >= held.deadline:
            self._held = None
            self._give_up(held.claim)
        else:
            held.renew_at = time.monotonic() + held.claim.want.lease_seconds / 3
            self._renew(held.claim)

    def _renew(self, claim: Claim) -> None:
        try:
            renew(self._engine, claim)
        except (
            ServiceError
        ) as error:  # the next renewal may succeed; the guard on saving holds in any case
            log.warning("lease not renewed: %s", error)

    def _give_up(self, claim: Claim) -> None:
        step = claim.want.step
        try:
            if len(claim.rows) == 1:
                error = StageTimeout(stage=step.name, seconds=f"{step.options.time_limit:g}")
                failed = {claim.ids[0]: (type(error).__name__, str(error))}
                save(self._engine, claim, Findings(failed=failed), self._writer)
            else:
                give_back(self._engine, claim, crashed=True)
            log.error("stage %s: batch of %d stopped at its time limit", step.name, len(claim.rows))
        finally:
            self._on_timeout()
