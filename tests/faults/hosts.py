"""A host of the line: one `curate worker` that can be killed, stopped and started again."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from pathlib import Path

from tests.processes import CURATE, descendants, end_with_parent, redis_of, send


class Host:
    """A supervisor, its Celery worker and its children; `own_name` gives them a host name."""

    def __init__(
        self, name: str, processes: int, environment: dict[str, str], log: Path, own_name: bool
    ) -> None:
        self.name = name
        self._environment = environment
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        options = ["-Q", "cpu", "-c", str(processes), "-n", name, "--loglevel", "WARNING"]
        worker = [CURATE, "worker", *options]
        rename = ["unshare", "--uts", "--", "sh", "-c", f'hostname {name} && exec "$@"', "sh"]
        self._command = [*rename, *worker] if own_name else worker

    def start(self) -> None:
        """Start it, as an init system would."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=end_with_parent,
            )

    @property
    def pids(self) -> list[int]:
        """The supervisor and all below it but Redis, whose death is a fault of its own."""
        assert self._process
        redis = redis_of(Path(self._environment["CURATE_HOME"]))
        return [pid for pid in descendants(self._process.pid) if pid not in redis]

    def revive(self) -> bool:
        """Start it again if it ended by itself; returns whether it did."""
        if self._process is None or self._process.poll() is None:
            return False
        self.start()
        return True

    def kill(self) -> None:
        """kill -9 of all its processes at once."""
        assert self._process
        send(self.pids, signal.SIGKILL)
        self._process.wait()

    def terminate(self, seconds: float = 60) -> None:
        """SIGTERM, and wait until it ended. Raises TimeoutError, after killing it."""
        assert self._process
        pids = self.pids
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
            return
        send(pids, signal.SIGKILL)
        self._process.wait()
        raise TimeoutError(f"{self.name} does not stop on SIGTERM")

    def end(self) -> None:
        """End it at once if it runs."""
        if self._process and self._process.poll() is None:
            self.kill()
