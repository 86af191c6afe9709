"""A Redis and a Postgres that can be killed and started again with what they had stored."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from tests import servers
from tests.faults.clock import Clock
from tests.faults.disk import Disk
from tests.pipelines import wait_until
from tests.processes import end_with_parent

POSTGRES_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "shared_buffers": "32MB",
    "max_connections": "80",
    "max_wal_size": "64MB",
    "min_wal_size": "8MB",
}


class Redis:
    """A Redis server on a socket in its folder, which writes what it holds to disk."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self.url = f"redis+socket://{folder}/redis.sock"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it. Raises RuntimeError when there is no Redis to start."""
        program = servers.redis_program()
        if program is None:
            raise RuntimeError(servers.NO_REDIS)
        folder = str(self._folder)
        command = [
            *(program, "--port", "0", "--unixsocket", f"{folder}/redis.sock", "--dir", folder),
            *("--appendonly", "yes", "--save", "", "--logfile", f"{folder}/log"),
        ]
        self._process = subprocess.Popen(command, preexec_fn=end_with_parent)

    def kill(self, keep: bool) -> None:
        """kill -9; `keep` says whether what it has written stays."""
        assert self._process
        self._process.kill()
        self._process.wait()
        if not keep:
            for file in self._folder.glob("appendonly*"):
                file.unlink()

    def stop(self) -> None:
        """End it."""
        if self._process:
            self.kill(keep=True)


class Postgres:
    """A Postgres server on a socket in its folder, on a small disk and a clock of its own."""

    def __init__(self, folder: Path, disk: Disk, clock: Clock, log: Path) -> None:
        self._data = disk.folder / "data"
        programs = servers.new_cluster(self._data)
        folder.mkdir(mode=0o755)
        servers.hand_over(folder)
        self._server = servers.Postgres(folder)
        self._log = log
        self._environment = dict(os.environ) | clock.environment()
        settings = [f"-c{name}={value}" for name, value in POSTGRES_SETTINGS.items()]
        self._command = [
            f"{programs}/postgres",
            "-D",
            f"{self._data}",
            "-k",
            f"{folder}",
            *settings,
        ]
        self._process: subprocess.Popen[bytes] | None = None
        self.url = self._server.url("faults")

    def start(self) -> None:
        """Start it and wait until it answers."""
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                user=servers.postgres_user(),
                cwd="/",
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=end_with_parent,
            )
        wait_until(self._server.ready, 60)

    def create(self) -> None:
        """Make the database."""
        self._server.execute("CREATE DATABASE faults")

    def stop(self, sign: signal.Signals = signal.SIGINT) -> None:
        """End it as `pg_ctl stop` does: SIGINT is its mode `fast`, SIGQUIT its mode `immediate`."""
        if self._process and self._process.poll() is None:
            self._process.send_signal(sign)
            self._process.wait(60)

    def revive(self) -> bool:
        """Start it again if it ended by itself, as on a full disk; returns whether it did."""
        if self._process and self._process.poll() is None:
            return False
        self.start()
        return True
