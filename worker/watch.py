"""Watches a batch from a thread beside it: renews its lease, and ends it when its time is over."""

from __future__ import annotations

import contextvars
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from types import TracebackType

from sqlalchemy import Engine

from curate.configs.errors import ServiceError, StageTimeout
from curate.db.claims import Claim, give_back, renew
from curate.db.saves import Findings, Writer, save

log = logging.getLogger(__name__)


def end_process() -> None:
    """Kill this process at once: a decoder that hangs inside C code listens to nothing else."""
    os.kill(os.getpid(), signal.SIGKILL)


class Watch:
    """Holds a claim while its batch runs: renewed every third of a lease, ended at the time limit.

    At the limit a row alone in its batch fails as StageTimeout, and a larger batch is given back to be
    tried in halves; then `on_timeout` ends the process, since Python cannot stop a thread inside C code.
    """

    def __init__(
        self, engine: Engine, claim: Claim, writer: Writer, on_timeout: Callable[[], None] = end_process
    ) -> None:
        self._engine = engine
        self._claim = claim
        self._writer = writer
        self._on_timeout = on_timeout
        self._finished = threading.Event()
        context = contextvars.copy_context()  # what the log says about the batch
        self._thread = threading.Thread(target=context.run, args=(self._run,), name="watch", daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._finished.set()
        self._thread.join()

    def _run(self) -> None:
        every = self._claim.want.lease_seconds / 3
        deadline = time.monotonic() + self._claim.want.step.options.time_limit
        renew_at = time.monotonic() + every
        while not self._finished.wait(max(0.0, min(renew_at, deadline) - time.monotonic())):
            if time.monotonic() >= deadline:
                self._give_up()
                return
            renew_at = time.monotonic() + every
            self._renew()

    def _renew(self) -> None:
        try:
            renew(self._engine, self._claim)
        except ServiceError as error:  # the next renewal may succeed; the guard on saving holds in any case
            log.warning("lease not renewed: %s", error)

    def _give_up(self) -> None:
        step = self._claim.want.step
        try:
            if len(self._claim.rows) == 1:
                error = StageTimeout(stage=step.name, seconds=f"{step.options.time_limit:g}")
                failed = {self._claim.ids[0]: (type(error).__name__, str(error))}
                save(self._engine, self._claim, Findings(failed=failed), self._writer)
            else:
                give_back(self._engine, self._claim, crashed=True)
            log.error("stage %s: batch of %d stopped at its time limit", step.name, len(self._claim.rows))
        finally:
            self._on_timeout()
