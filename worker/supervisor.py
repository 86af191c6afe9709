"""Starts Celery workers on this host, keeps them running, and tops up their queues."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from curate.configs.errors import ServiceError
from curate.configs.settings import Settings
from curate.worker.bells import Bells, make_app
from curate.worker.broker import EmbeddedBroker
from curate.worker.plans import WorkerPlan
from curate.worker.presence import Presence
from curate.worker.topup import top_up

log = logging.getLogger(__name__)

TOP_UP_SECONDS = 1.0
GRACE_SECONDS = 30.0  # a batch may finish in this time when the workers are told to stop
_RESTARTS = 5  # in a row, each within _QUICK seconds, before giving up
_QUICK = 30.0


@dataclass(frozen=True)
class Log:
    """Where workers log (None: stderr) and how much."""

    file: Path | None = None
    level: str = "WARNING"


class Worker:
    """One Celery worker, a process with its children, that is started again when it dies."""

    def __init__(self, plan: WorkerPlan, settings: Settings, log: Log) -> None:
        self.plan = plan
        self._settings = settings
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._quick_deaths = 0

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self) -> None:
        """Start it."""
        command = [sys.executable, "-m", "curate.worker", *self.plan.arguments(self._log.level)]
        with contextlib.ExitStack() as stack:
            output = stack.enter_context(self._log.file.open("ab")) if self._log.file else None
            self._process = subprocess.Popen(  # noqa: S603  a fixed command
                command, env=self.plan.environment(self._settings), stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        self._started = time.monotonic()

    def revive(self) -> None:
        """Start it again if it is gone. Raises ServiceError when it keeps dying at its start."""
        if self.pid is not None:
            return
        quick = time.monotonic() - self._started < _QUICK
        self._quick_deaths = self._quick_deaths + 1 if quick else 1
        if self._quick_deaths > _RESTARTS:
            where = f"see {self._log.file}" if self._log.file else "see its messages above"
            why = f"it ended {_RESTARTS} times right after its start; {where}"
            raise ServiceError(what=f"The worker {self.plan.name}", why=why)
        log.warning("the worker %s was gone and has been started again", self.plan.name)
        self.start()

    def tell_to_stop(self) -> None:
        """Let it finish its batches and end."""
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float) -> None:
        """Wait until it ended, or the seconds are over."""
        if self._process:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=max(0.0, seconds))

    def kill(self) -> None:
        """End it and its children at once, if they are still there."""
        process, self._process = self._process, None
        if process and process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


class Supervisor:
    """Runs Celery workers and the broker they need. Use as a context manager and call `tick` often."""

    def __init__(self, settings: Settings, engine: Engine, plans: Sequence[WorkerPlan], log: Log) -> None:
        self._engine = engine
        self._broker = EmbeddedBroker(settings)
        self._bells = Bells(make_app(settings))
        self._presence = Presence(engine)
        self._processes: Counter[str] = Counter()
        for plan in plans:
            self._processes[plan.queue] += plan.processes
        self.workers = [Worker(plan, settings, log) for plan in plans]
        self._next_top_up = 0.0
        self._trouble = ""

    def __enter__(self) -> Supervisor:
        self._broker.__enter__()
        try:
            for worker in self.workers:
                worker.start()
        except BaseException:
            self.stop(0)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def tick(self) -> None:
        """Restart what died, and ring stages that wait. Returns at once when nothing is due.

        Raises ServiceError when a worker keeps dying at its start.
        """
        if self._broker.ensure():
            log.warning("the embedded Redis was gone and has been started again")
        for worker in self.workers:
            worker.revive()
        if time.monotonic() >= self._next_top_up:
            self._top_up()
        self._presence.beat([(worker.plan, worker.pid) for worker in self.workers])

    def _top_up(self) -> None:
        from kombu.exceptions import OperationalError
        from redis.exceptions import RedisError

        pause = TOP_UP_SECONDS
        try:
            top_up(self._engine, self._bells, self._processes)
            self._trouble = ""
        except (ServiceError, OperationalError, RedisError, OSError) as error:
            # a broker or database that restarts: the workers ride it out, and so does this
            if str(error) != self._trouble:
                log.warning("queues not topped up, trying again: %s", error)
            self._trouble, pause = str(error), 5 * TOP_UP_SECONDS
        self._next_top_up = time.monotonic() + pause

    def stop(self, grace: float = GRACE_SECONDS) -> None:
        """Let running batches finish for `grace` seconds, then end the workers; their rows go to others."""
        try:
            self._stop_workers(grace)
        finally:
            self._presence.leave()
            self._bells.close()
            self._broker.stop()

    def _stop_workers(self, grace: float) -> None:
        deadline = time.monotonic() + grace
        try:
            for worker in self.workers:
                worker.tell_to_stop()
            for worker in self.workers:
                worker.wait(deadline - time.monotonic())
        except KeyboardInterrupt:  # the second one: at once
            log.info("workers are ended at once")
        finally:
            for worker in self.workers:
                worker.kill()
