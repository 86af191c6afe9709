"""Starts Celery workers on this host, keeps them running, and dispatches messages to them."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from curate.configs.errors import ServiceError
from curate.configs.identity import started
from curate.configs.settings import Settings
from curate.db.reports.workers import StageAtWork, stages_at_work
from curate.tasks.storage.part_files import remove_abandoned
from curate.worker.broker import EmbeddedBroker, outages
from curate.worker.dispatcher import Dispatcher, release_rows_of_dead
from curate.worker.heartbeat import Heartbeat
from curate.worker.messages import Messages, make_app
from curate.worker.prepared import PreparedWorker, take_prepared
from curate.worker.processes import WorkerSpec
from curate.worker.stopping import undisturbed

log = logging.getLogger(__name__)

DISPATCH_SECONDS = 1.0
GRACE_SECONDS = 30.0  # how long batches may go on after the workers are told to stop
RESTARTS = 5  # deaths in a row, each within QUICK_SECONDS of the start, before giving up
QUICK_SECONDS = 30.0
TIDY_SECONDS = 5.0  # that a stop waits for temporary files to be found and removed
LOOK_SECONDS = 0.1  # between looks whether a batch is still at work, during a stop


@dataclass(frozen=True)
class Log:
    """Where workers log (None: stderr) and how much."""

    file: Path | None = None
    level: str = "WARNING"


class Worker:
    """One Celery worker: a process with its children. `revive` starts it again when it is dead."""

    def __init__(self, spec: WorkerSpec, settings: Settings, log: Log) -> None:
        self.spec = spec
        self._settings = settings
        self._log = log
        self._process: subprocess.Popen[bytes] | PreparedWorker | None = None
        self._started = 0.0
        self._quick_deaths = 0
        self._told = False  # to stop

    @property
    def pid(self) -> int | None:
        """The process id while it runs, else None."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self) -> None:
        """Start the process."""
        options = json.dumps(self.spec.options(self._log.level))
        environment = self.spec.environment(self._settings)
        self._started = time.monotonic()
        # what decodes inherits nothing that its environment decides; a model's worker would
        prepared = take_prepared() if self.spec.npu is None and self.spec.recycled else None
        if prepared and prepared.begin(options, environment, self._log.file):
            self._process = prepared
            return
        command = [sys.executable, "-m", "curate.worker", options]
        with contextlib.ExitStack() as stack:
            output = stack.enter_context(self._log.file.open("ab")) if self._log.file else None
            self._process = subprocess.Popen(  # noqa: S603  a fixed command
                command, env=environment, stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip

    def revive(self) -> None:
        """Start it again if it is gone. Raises ServiceError if it keeps dying right after."""
        if self.pid is not None:
            return
        quick = time.monotonic() - self._started < QUICK_SECONDS
        self._quick_deaths = self._quick_deaths + 1 if quick else 1
        if self._quick_deaths > RESTARTS:
            where = f"see {self._log.file}" if self._log.file else "see its messages above"
            why = f"it ended {RESTARTS} times right after its start; {where}"
            raise ServiceError(what=f"The worker {self.spec.name}", why=why)
        log.warning("the worker %s was gone and has been started again", self.spec.name)
        self.start()

    def processes(self) -> list[int]:
        """The process ids of its children, which run the batches; none where it cannot be told."""
        with contextlib.suppress(OSError):
            return [int(pid) for pid in _children_file(self.pid or 0).read_text().split()]
        return []

    def tell_to_stop(self) -> None:
        """Tell it to finish its batches, or to give them up, and end; once is enough."""
        if self._process and self._process.poll() is None and not self._told:
            self._told = True
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> bool:
        """Kill it and its children; return whether it was still running."""
        children = self.processes()
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return False
        deadline = time.monotonic() + 2
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        while any(map(started, children)) and time.monotonic() < deadline:
            time.sleep(0.01)
        return True


def _children_file(pid: int) -> Path:
    """Where Linux tells the process ids of a process's children."""
    return Path(f"/proc/{pid}/task/{pid}/children")


class Supervisor:
    """Runs Celery workers and the broker that they need: a context manager; call `tick` often."""

    def __init__(
        self, settings: Settings, engine: Engine, specs: Sequence[WorkerSpec], log: Log
    ) -> None:
        self._engine = engine
        self._broker = EmbeddedBroker(settings)
        self._messages = Messages(make_app(settings))
        self._heartbeat = Heartbeat(engine)
        listeners: Counter[str] = Counter()
        for spec in specs:
            listeners[spec.queue] += spec.processes
        self._dispatcher = Dispatcher(
            engine, self._messages, listeners, lease_seconds=settings.lease_seconds
        )
        self.workers = [Worker(spec, settings, log) for spec in specs]
        self._folders = [f for f in (settings.clips, settings.samples) if isinstance(f, Path)]
        self._next_dispatch = self._next_ensure = 0.0
        self._last_warnings: dict[str, str] = {}

    def __enter__(self) -> Supervisor:
        self._broker.__enter__()
        self._tidy()
        try:
            for worker in self.workers:
                worker.start()
        except BaseException:
            self.stop(0)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _tidy(self) -> threading.Thread:
        """Remove what killed workers of this host had begun to write, in a thread beside the work:
        a walk over millions of clips takes a while.
        """

        def remove() -> None:
            if removed := remove_abandoned(*self._folders):
                log.info("%d temporary files of workers that are gone removed", removed)

        thread = threading.Thread(target=remove, daemon=True)
        thread.start()
        return thread

    def tick(self) -> None:
        """Restart what has died and send messages about rows that wait, as far as that is due.

        Raises ServiceError if a worker keeps dying right after its start, and ConfigError if
        workers of another host share the SQLite file.
        """
        if time.monotonic() >= self._next_ensure:
            self._next_ensure = time.monotonic() + DISPATCH_SECONDS
            # not fatal: Redis may start at the next try, for example once the disk has room again
            with self._warns_once("the embedded Redis is gone"):
                if self._broker.ensure():
                    log.warning("the embedded Redis was gone and has been started again")
        for worker in self.workers:
            worker.revive()
        if time.monotonic() >= self._next_dispatch:
            pause = 5 * DISPATCH_SECONDS
            # a broker or database that restarts stops neither the workers nor this loop
            with self._warns_once("no messages sent"):
                if self._dispatcher.is_due():
                    self._dispatcher.dispatch()
                pause = DISPATCH_SECONDS
            self._next_dispatch = time.monotonic() + pause
        self._heartbeat.beat([(worker.spec, worker.pid) for worker in self.workers])

    @contextlib.contextmanager
    def _warns_once(self, what: str) -> Iterator[None]:
        """Swallow an outage in the block, and log it unless the last one was the same."""
        try:
            yield
        except outages() as error:
            if str(error) != self._last_warnings.get(what):
                log.warning("%s, trying again: %s", what, error)
            self._last_warnings[what] = str(error)
        else:
            self._last_warnings.pop(what, None)

    def tell_to_stop(self) -> None:
        """Tell the workers to finish their batches, or to give them up, and end."""
        for worker in self.workers:
            worker.tell_to_stop()

    def at_work(self) -> list[StageAtWork]:
        """The rows that processes of these workers hold, by stage. Raises ServiceError."""
        host = socket.gethostname()
        processes = {f"{pid}@{host}" for worker in self.workers for pid in worker.processes()}
        return stages_at_work(self._engine, processes)

    def stop(self, grace: float = GRACE_SECONDS) -> None:
        """Let batches finish for `grace` seconds, then kill the workers and release their rows.

        Workers that hold no rows are not waited for: a Celery worker takes half a second for each
        of its processes to end, and one more. A second signal kills them at once; those that follow
        are ignored.
        """
        deadline = time.monotonic() + grace
        try:
            self.tell_to_stop()
            while any(worker.pid for worker in self.workers) and not self._is_idle():
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                time.sleep(min(LOOK_SECONDS, left))
        except KeyboardInterrupt:  # the user's second one
            log.info("killing the workers")
        finally:
            with undisturbed(), contextlib.ExitStack() as stack:
                stack.callback(self._broker.stop)
                stack.callback(self._messages.close)
                stack.callback(self._heartbeat.leave)
                self._kill_workers()

    def _is_idle(self) -> bool:
        """Whether the workers are known to hold no rows."""
        if not _children_file(os.getpid()).exists():
            return False
        try:
            return not self.at_work()
        except ServiceError:  # the database is away
            return False

    def _kill_workers(self) -> None:
        """Kill the workers that still run, and release their rows, so that none has to wait.

        What they, or processes that crashed before, had begun to write is removed.
        """
        killed = sum(worker.kill() for worker in self.workers)
        interrupted = self._dispatcher.crashes
        if killed:
            try:
                interrupted += release_rows_of_dead(self._engine)
            except ServiceError as error:
                log.warning("rows of ended workers wait until their leases run out: %s", error)
                interrupted += killed
        if interrupted:
            self._tidy().join(TIDY_SECONDS)
