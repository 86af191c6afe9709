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
from curate.worker.broker import EmbeddedBroker
from curate.worker.dispatcher import Dispatcher, release_rows_of_dead
from curate.worker.heartbeat import Heartbeat
from curate.worker.messages import Messages, make_app
from curate.worker.outages import outages
from curate.worker.processes import WorkerSpec

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

    def __init__(self, plan: WorkerSpec, settings: Settings, log: Log) -> None:
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

    def kill(self) -> bool:
        """End it and its children at once, if they are still there; returns whether they were."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            deadline = time.monotonic() + 2
            while time.monotonic() < deadline:  # its children; they are reaped by init
                os.killpg(process.pid, 0)
                time.sleep(0.01)
        return True


class Supervisor:
    """Runs Celery workers and the broker they need. Use as a context manager and call `tick` often."""

    def __init__(
        self, settings: Settings, engine: Engine, plans: Sequence[WorkerSpec], log: Log
    ) -> None:
        self._broker = EmbeddedBroker(settings)
        self._bells = Messages(make_app(settings))
        self._presence = Heartbeat(engine)
        processes: Counter[str] = Counter()
        for plan in plans:
            processes[plan.queue] += plan.processes
        self._engine = engine
        self._dispatcher = Dispatcher(
            engine, self._bells, processes, lease_seconds=settings.lease_seconds
        )
        self.workers = [Worker(plan, settings, log) for plan in plans]
        self._next_top_up = 0.0
        self._trouble: dict[str, str] = {}  # what was said last

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

        Raises ServiceError when a worker keeps dying at its start, and ConfigError when another
        host shares its SQLite.
        """
        self._keep_broker()
        for worker in self.workers:
            worker.revive()
        if time.monotonic() >= self._next_top_up:
            self._top_up()
        self._presence.beat([(worker.plan, worker.pid) for worker in self.workers])

    def _keep_broker(self) -> None:
        try:
            started = self._broker.ensure()
            self._trouble.pop("the embedded Redis is gone", None)
            if started:
                log.warning("the embedded Redis was gone and has been started again")
        except (
            ServiceError,
            OSError,
        ) as error:  # it may start at the next try, when its disk has room again
            self._say("the embedded Redis is gone", error)

    def _say(self, what: str, error: Exception) -> None:
        """Log it, once in a row."""
        if str(error) != self._trouble.get(what):
            log.warning("%s, trying again: %s", what, error)
        self._trouble[what] = str(error)

    def _top_up(self) -> None:
        pause = TOP_UP_SECONDS
        try:
            self._dispatcher.dispatch()
            self._trouble.pop("queues not topped up", None)
        except outages() as error:
            # a broker or database that restarts: the workers ride it out, and so does this
            self._say("queues not topped up", error)
            pause = 5 * TOP_UP_SECONDS
        self._next_top_up = time.monotonic() + pause

    def stop(self, grace: float = GRACE_SECONDS) -> None:
        """Let running batches finish for `grace` seconds, then end the workers; their rows go to
        others.
        """
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
            killed = [worker.kill() for worker in self.workers]
            if any(killed):
                self._free_rows()

    def _free_rows(self) -> None:
        """Give back what was at work in processes that were ended, so that others need not wait for
        the leases.
        """
        try:
            release_rows_of_dead(self._engine)
        except ServiceError as error:
            log.warning("rows at work stay held until their leases run out: %s", error)
