"""The processes that the benchmark of faults starts and breaks: hosts, Redis, Postgres; a small
disk; a clock.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from tests import servers
from tests.processes import processes

CURATE = str(Path(sys.executable).with_name("curate"))
MEGABYTE = b"\0" * (1 << 20)


def end_with_parent() -> None:
    """In a child before its program starts: be killed when the benchmark is gone, however it ended."""
    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


def wait_for(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Wait until the condition holds. Raises TimeoutError."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(0.05)


def descendants(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for parent in found:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{parent}/task").iterdir():
                found += [
                    int(p) for p in (task / "children").read_text().split() if int(p) not in found
                ]
    return found


def redis_of(home: Path) -> list[int]:
    """The embedded Redis of a home folder: it names its socket in its command line."""
    return processes(home, "redis-server")


def send(pids: Iterable[int], sign: signal.Signals) -> int:
    """Send a signal to each process that is still there; returns how many those were."""
    sent = 0
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, sign)
            sent += 1
    return sent


class Disk:
    """A small file system of its own, which a ballast file fills. Without the right to mount it is
    a plain folder.
    """

    def __init__(self, folder: Path, megabytes: int, owner: str | None = None) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "curate-faults", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True)
        self.why_not = (
            "" if done.returncode == 0 else f"no mount: {done.stderr.strip() or done.returncode}"
        )
        if owner:
            shutil.chown(folder, owner)

    def fill(self) -> None:
        """Leave no room."""
        with self._ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(MEGABYTE)
        with self._ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(MEGABYTE[:4096])

    def clear(self) -> None:
        """Make room again."""
        self._ballast.unlink(missing_ok=True)

    def close(self) -> None:
        """Take it away."""
        if not self.why_not:
            subprocess.run(["umount", "-l", str(self.folder)], check=False)


class Clock:
    """The clock of the processes that get its environment: the system's, moved by what a file says
    (fault_clock.c).
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self._library = folder / "clock.so"
        self._file.write_bytes(bytes(8))
        self._file.chmod(0o644)
        self.why_not = "no C compiler (cc)"
        if compiler := shutil.which("cc"):
            source = str(Path(__file__).with_name("fault_clock.c"))
            command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(self._library), source]
            done = subprocess.run(command, capture_output=True, text=True)
            self.why_not = done.stderr and "fault_clock.c does not compile"

    def set(self, seconds: int) -> None:
        """Move it so far from the system's."""
        with self._file.open("r+b") as file:  # in place: the file is mapped
            file.write(seconds.to_bytes(8, sys.byteorder, signed=True))

    def environment(self) -> dict[str, str]:
        """What a process is started with to live by this clock."""
        return (
            {}
            if self.why_not
            else {"LD_PRELOAD": str(self._library), "FAULT_CLOCK": str(self._file)}
        )


class Host:
    """One `curate worker`: a supervisor, its Celery worker, and its children; with a host name of
    its own if it can.
    """

    def __init__(
        self, name: str, processes: int, environment: dict[str, str], log: Path, own_name: bool
    ) -> None:
        self.name = name
        self._environment = environment
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        worker = [
            CURATE,
            "worker",
            "-Q",
            "cpu",
            "-c",
            str(processes),
            "-n",
            name,
            "--loglevel",
            "WARNING",
        ]
        renamed = [
            "unshare",
            "--uts",
            "--",
            "sh",
            "-c",
            f'hostname {name} && exec "$@"',
            "sh",
            *worker,
        ]
        self._command = renamed if own_name else worker

    def start(self) -> None:
        """Start it, as an init system would."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, preexec_fn=end_with_parent,
            )  # fmt: skip

    @property
    def pids(self) -> list[int]:
        """The supervisor and all below it but Redis, which is a fault of its own."""
        assert self._process
        redis = redis_of(Path(self._environment["CURATE_HOME"]))
        return [pid for pid in descendants(self._process.pid) if pid not in redis]

    def revive(self) -> bool:
        """Start it again if it ended by itself; returns whether it had."""
        if self._process is None or self._process.poll() is None:
            return False
        self.start()
        return True

    def kill(self) -> None:
        """kill -9 of all of it at once."""
        send(self.pids, signal.SIGKILL)
        self._ended()

    def terminate(self, seconds: float = 60) -> None:
        """SIGTERM, and wait until it ended."""
        assert self._process
        below = self.pids
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
            return
        send(below, signal.SIGKILL)
        self._ended()
        raise TimeoutError(f"{self.name} does not stop on SIGTERM")

    def end(self) -> None:
        """End it at once if it runs."""
        if self._process and self._process.poll() is None:
            self.kill()

    def _ended(self) -> None:
        assert self._process
        self._process.wait()


class Redis:
    """A Redis server on a socket in its folder, which writes what it holds to disk."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self.url = f"redis+socket://{folder}/redis.sock"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        program = servers.redis_program()
        if program is None:
            raise RuntimeError(servers.NO_REDIS)
        command = [
            program, "--port", "0", "--unixsocket", f"{self._folder}/redis.sock", "--dir", str(self._folder),
            "--appendonly", "yes", "--save", "", "--logfile", f"{self._folder}/log",
        ]  # fmt: skip
        self._process = subprocess.Popen(command, preexec_fn=end_with_parent)

    def kill(self, keep: bool) -> None:
        """kill -9; with or without what it has written."""
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
        programs = servers._programs()
        self._data = disk.folder / "data"
        servers._run_as_user("cp", "-r", servers._data_template(programs), self._data)
        folder.mkdir(mode=0o755)
        servers._give(folder)
        self._folder = folder
        self._log = log
        self._environment = dict(os.environ) | clock.environment()
        settings = {"listen_addresses": "", "fsync": "off", "shared_buffers": "32MB", "max_connections": "80",
                    "max_wal_size": "64MB", "min_wal_size": "8MB"}  # fmt: skip
        given = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self._command = [
            str(programs / "postgres"),
            "-D",
            str(self._data),
            "-k",
            str(folder),
            *given,
        ]
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"postgresql+psycopg://postgres@/faults?host={folder}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, user=servers._user(), cwd="/", env=self._environment, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, preexec_fn=end_with_parent,
            )  # fmt: skip
        wait_for(servers.Postgres(self._folder).ready, 60, "Postgres")

    def create(self) -> None:
        """Make the database."""
        servers.Postgres(self._folder).execute("CREATE DATABASE faults")

    def stop(self, sign: signal.Signals = signal.SIGINT) -> None:
        """End it as `pg_ctl stop -m fast` (SIGINT) or `-m immediate` (SIGQUIT) does: they send
        these signals.
        """
        if self._process and self._process.poll() is None:
            self._process.send_signal(sign)
            self._process.wait(60)

    def revive(self) -> bool:
        """Start it again if it ended by itself (it does when its disk is full); returns whether it
        had.
        """
        if self._process and self._process.poll() is None:
            return False
        self.start()
        return True
