"""Starts Celery workers on this host, keeps them running, and tops up their queues."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from curate.configs.errors import ServiceError
from curate.configs.settings import Settings
from curate.worker.broker import EmbeddedBroker
from curate.worker.topup import top_up

log = logging.getLogger(__name__)

TOP_UP_SECONDS = 1.0
GRACE_SECONDS = 30.0  # a batch may finish in this time when the workers are told to stop
_RESTARTS = 5  # in a row, each within _QUICK seconds, before giving up
_QUICK = 30.0
_ENVIRONMENT = {
    # the pool is as large as the host: a library's own threads only contend
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # x264 reads a little memory that it never wrote, at sizes that are no multiple of 16. With glibc filling what it
    # hands out, the same clip gives the same bytes; no cost was to be seen.
    "MALLOC_PERTURB_": "85",
}


@dataclass(frozen=True)
class WorkerPlan:
    """One Celery worker: its queues, how many processes, its name, and where its log goes (None: stderr)."""

    queues: Sequence[str]
    concurrency: int
    name: str = "cpu0"
    log_file: Path | None = None
    loglevel: str = "WARNING"

    def arguments(self) -> list[str]:
        """The arguments of `celery worker`."""
        return [
            "-Q", ",".join(self.queues), "-c", str(self.concurrency), "-P", "prefork", "-n", f"{self.name}@%h",
            "-l", self.loglevel, "--without-gossip", "--without-mingle",
        ]  # fmt: skip


class Supervisor:
    """Runs one Celery worker and the broker it needs. Use as a context manager and call `tick` often."""

    def __init__(self, settings: Settings, engine: Engine, plan: WorkerPlan) -> None:
        self.settings = settings
        self.engine = engine
        self.plan = plan
        self.broker = EmbeddedBroker(settings)
        self._worker: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._quick_deaths = 0
        self._next_top_up = 0.0
        self._trouble = ""

    def __enter__(self) -> Supervisor:
        os.environ.update(self.settings.environment())  # the Celery app of this process rings by these too
        self.broker.__enter__()
        try:
            self._start()
        except BaseException:
            self.broker.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.stop()
        finally:
            self.broker.stop()

    @property
    def pid(self) -> int | None:
        """The process id of the Celery worker."""
        return self._worker.pid if self._worker else None

    def _start(self) -> None:
        environment = _ENVIRONMENT | os.environ | self.settings.environment()
        command = [sys.executable, "-m", "curate.worker", *self.plan.arguments()]
        with contextlib.ExitStack() as stack:
            output = stack.enter_context(self.plan.log_file.open("ab")) if self.plan.log_file else None
            self._worker = subprocess.Popen(  # noqa: S603  a fixed command
                command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True,
            )  # fmt: skip
        self._started = time.monotonic()

    def tick(self) -> None:
        """Restart what died, and ring stages that wait. Returns at once when nothing is due.

        Raises ServiceError when the worker keeps dying at its start.
        """
        if self.broker.ensure():
            log.warning("the embedded Redis was gone and has been started again")
        if self._worker is None or self._worker.poll() is not None:
            self._restart()
        if time.monotonic() >= self._next_top_up:
            self._top_up()

    def _top_up(self) -> None:
        from kombu.exceptions import OperationalError
        from redis.exceptions import RedisError

        pause = TOP_UP_SECONDS
        try:
            top_up(self.engine, self.plan.concurrency)
            self._trouble = ""
        except (ServiceError, OperationalError, RedisError, OSError) as error:
            # a broker or database that restarts: the workers ride it out, and so does this
            if str(error) != self._trouble:
                log.warning("queues not topped up, trying again: %s", error)
            self._trouble, pause = str(error), 5 * TOP_UP_SECONDS
        self._next_top_up = time.monotonic() + pause

    def _restart(self) -> None:
        quick = time.monotonic() - self._started < _QUICK
        self._quick_deaths = self._quick_deaths + 1 if quick else 1
        if self._quick_deaths > _RESTARTS:
            where = f"see {self.plan.log_file}" if self.plan.log_file else "see its messages above"
            raise ServiceError(what="The worker", why=f"it ended {_RESTARTS} times right after its start; {where}")
        log.warning("the worker was gone and has been started again")
        self._start()

    def stop(self, grace: float = GRACE_SECONDS) -> None:
        """Let running batches finish for `grace` seconds, then end the worker; its rows go to others."""
        worker, self._worker = self._worker, None
        if worker is None or worker.poll() is not None:
            return
        worker.send_signal(signal.SIGTERM)
        try:
            worker.wait(timeout=grace)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()
