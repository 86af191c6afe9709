"""A line of curate that can be broken: its hosts, servers, disk and clock, and the kinds of faults
it may meet.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from sqlalchemy import text
from tests.drawing import picture
from tests.media import B_FRAMES, write_video

from benchmarks.fault_hosts import CURATE, Clock, Disk, Host, Postgres, Redis, redis_of, send
from curate.db.engine import make_engine, reading

LEASE = 3.0
HOUR = 3600
PIPELINE = """
pipeline:
  - {stage: probe, batch_size: 4}
  - {stage: split, min_seconds: 0.5}
  - {stage: dedup, batch_size: 8}
  - {filter: unique, where: duplicate = 0}
  - {stage: motion, batch_size: 4}
  - {stage: cut, batch_size: 4}
"""


def draw(folder: Path, count: int) -> None:
    """Small videos of three scenes; every sixth one shows the same as the first."""
    (folder / "videos").mkdir()
    for n in range(count):
        seen = 0 if n % 6 == 5 else n
        frames = [picture(i, scene=3 * seen + i // 32) for i in range(96)]
        write_video(folder / "videos" / f"v{n:02}.mp4", frames, B_FRAMES)
    (folder / "line.yaml").write_text(PIPELINE)


class Line:
    """Everything of one set-up; use as a context manager. Its folder has nothing of curate before."""

    def __init__(self, folder: Path, postgres: bool, seed: int, processes: int) -> None:
        self.folder = folder
        self.chance = random.Random(seed)
        self._stack = ExitStack()
        self.disk = self._closing(Disk(folder / "home", 192))
        self.home = self.disk.folder
        self.clock = Clock(folder)
        clean = {k: v for k, v in os.environ.items() if not k.startswith("CURATE_")}
        settings = {
            "CURATE_HOME": str(self.home),
            "CURATE_LEASE_SECONDS": f"{LEASE:g}",
            "CURATE_MAX_ATTEMPTS": "50",
        }
        self.postgres: Postgres | None = None
        self.redis: Redis | None = None
        self.database_disk = self.disk
        self.url = f"sqlite:///{self.home}/curate.db"
        if postgres:
            self.database_disk = self._closing(
                Disk(folder / "pg", 192, "nobody" if os.geteuid() == 0 else None)
            )
            self.postgres = Postgres(
                folder / "socket", self.database_disk, self.clock, folder / "postgres.log"
            )
            self._stack.callback(self.postgres.stop, signal.SIGQUIT)
            self.redis = Redis(folder / "redis")
            self._stack.callback(self.redis.stop)
            self.url = self.postgres.url
            settings |= {"CURATE_DATABASE_URL": self.url, "CURATE_BROKER_URL": self.redis.url}
        self.environment = clean | settings | ({} if postgres else self.clock.environment())
        self.engine = make_engine(self.url)
        own_names = (
            postgres
            and subprocess.run(["unshare", "--uts", "true"], capture_output=True).returncode == 0
        )
        log = folder / "workers.log"
        self.hosts = [Host(f"host{n}", processes, self.environment, log, own_names) for n in (1, 2)]
        self.restarts = 0

    def _closing(self, disk: Disk) -> Disk:
        self._stack.callback(disk.close)
        return disk

    def __enter__(self) -> Line:
        if self.postgres and self.redis:
            self.redis.start()
            self.postgres.start()
            self.postgres.create()
        return self

    def __exit__(self, *_: object) -> None:
        for host in self.hosts:
            host.end()
        send(redis_of(self.home), signal.SIGKILL)
        self.engine.dispose()
        self._stack.close()

    def enqueue(self, name: str) -> int:
        """Enqueue the videos as a dataset; returns its id."""
        words = [CURATE, "-q", "enqueue", "videos", "--config", "line.yaml", "--name", name]
        done = subprocess.run(
            words, cwd=self.folder, env=self.environment, capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f"enqueue: {done.stderr}")
        return int(self.ask("SELECT id FROM datasets WHERE name = :n", n=name)[0][0])

    def ask(self, query: str, **values: Any) -> list[Any]:
        """Rows of a query. Raises ServiceError while the database is away."""
        with reading(self.engine) as connection:
            return list(connection.execute(text(query), values))

    def saved(self) -> int:
        """The number of the last batch that was saved."""
        return int(self.ask("SELECT coalesce(max(id), 0) FROM batches WHERE error IS NULL")[0][0])

    def unfinished(self, dataset: int) -> int:
        """Rows that are still active."""
        query = "SELECT count(*) FROM {} WHERE dataset_id = :d AND status = 'active'"
        return sum(
            int(self.ask(query.format(table), d=dataset)[0][0]) for table in ("videos", "clips")
        )

    def holders(self, dataset: int) -> list[int]:
        """Pids of living processes that hold rows."""
        query = "SELECT DISTINCT owner FROM {} WHERE dataset_id = :d AND status = 'active' AND lease_until > 1"
        owners = [
            str(row[0])
            for table in ("videos", "clips")
            for row in self.ask(query.format(table), d=dataset)
        ]
        pids = sorted({int(owner.split("|")[2]) for owner in owners if owner.count("|") == 4})
        return [pid for pid in pids if Path(f"/proc/{pid}/exe").exists()]

    def tend(self) -> None:
        """Start again what ended by itself, as an init system would."""
        if self.postgres:
            self.restarts += self.postgres.revive()
        self.restarts += sum(host.revive() for host in self.hosts)


# ---------------------------------------------------------------- the faults: each returns when the
# cause is gone


def kill_child(line: Line, pid: int) -> None:
    """A process that holds rows is killed."""
    send([pid], signal.SIGKILL)


def kill_worker(line: Line, pid: int) -> None:
    """All of a `curate worker` is killed, and started again a little later."""
    host = line.chance.choice(line.hosts)
    host.kill()
    time.sleep(line.chance.uniform(0.2, 2))
    host.start()


def kill_redis(line: Line, pid: int, keep: bool) -> None:
    """Redis is killed; one of our own is started again, the embedded one is the supervisors'
    business.
    """
    if line.redis:
        line.redis.kill(keep)
        time.sleep(line.chance.uniform(0.2, 3))
        line.redis.start()
        return
    found = redis_of(line.home)
    if not keep:
        for file in (line.home / "broker").glob("appendonly*"):
            file.unlink()
    send(found, signal.SIGKILL)


def restart_postgres(line: Line, pid: int, sign: signal.Signals) -> None:
    """Postgres is stopped and started again."""
    assert line.postgres
    line.postgres.stop(sign)
    time.sleep(line.chance.uniform(0, 3))
    line.postgres.start()


def terminate_worker(line: Line, pid: int) -> None:
    """A `curate worker` is told to stop, and started again."""
    host = line.chance.choice(line.hosts)
    host.terminate()
    host.start()


def pause_child(line: Line, pid: int) -> None:
    """A process that holds rows stands still for longer than its lease."""
    send([pid], signal.SIGSTOP)
    time.sleep(LEASE + line.chance.uniform(0.5, 2))
    send([pid], signal.SIGCONT)


def fill(line: Line, pid: int, disk: Disk) -> None:
    """The disk is full for a while."""
    disk.fill()
    time.sleep(line.chance.uniform(1, 4))
    disk.clear()


def step_clock(line: Line, pid: int, seconds: int) -> None:
    """The clock of the leases is wrong for a while: one step, and one back."""
    line.clock.set(seconds)
    time.sleep(line.chance.uniform(1, 4))
    line.clock.set(0)


Fault = Callable[[Line, int], None]


def faults(line: Line) -> dict[str, tuple[Fault, str]]:
    """The kinds of faults: each with why it cannot be done here, or an empty text."""
    found: dict[str, tuple[Fault, str]] = {
        "kill -9 of a worker's child": (kill_child, ""),
        "kill -9 of a whole worker": (kill_worker, ""),
        "kill -9 of Redis, data kept": (lambda a, b: kill_redis(a, b, True), ""),
        "kill -9 of Redis, data deleted": (lambda a, b: kill_redis(a, b, False), ""),
        "SIGTERM of a worker": (terminate_worker, ""),
        "SIGSTOP of a child beyond its lease": (pause_child, ""),
        "clock an hour forward, then back": (
            lambda a, b: step_clock(a, b, HOUR),
            line.clock.why_not,
        ),
        "clock an hour back, then forward": (
            lambda a, b: step_clock(a, b, -HOUR),
            line.clock.why_not,
        ),
    }
    if line.postgres is None:
        found["full disk of database, samples, clips"] = (
            lambda a, b: fill(a, b, a.disk),
            line.disk.why_not,
        )
        return found
    found["full disk of samples and clips"] = (lambda a, b: fill(a, b, a.disk), line.disk.why_not)
    found["full disk of Postgres"] = (
        lambda a, b: fill(a, b, a.database_disk),
        line.database_disk.why_not,
    )
    found["Postgres restarted, immediate"] = (
        lambda a, b: restart_postgres(a, b, signal.SIGQUIT),
        "",
    )
    found["Postgres restarted, fast"] = (lambda a, b: restart_postgres(a, b, signal.SIGINT), "")
    return found
