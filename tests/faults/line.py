"""A line of curate that can be broken: its hosts, servers, disk and clock."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from sqlalchemy import text

from curate.db.engine import make_engine, reading
from tests.drawing import picture
from tests.faults.clock import Clock
from tests.faults.disk import Disk
from tests.faults.hosts import Host
from tests.faults.servers import Postgres, Redis
from tests.media import B_FRAMES, write_video
from tests.processes import CURATE, redis_of, send

LEASE_SECONDS = 3.0
PIPELINE = """
pipeline:
  - {stage: probe, batch_size: 4}
  - {stage: split, min_seconds: 0.5}
  - {stage: dedup, batch_size: 8}
  - {filter: unique, where: duplicate = 0}
  - {stage: motion, batch_size: 4}
  - {stage: cut, batch_size: 4}
"""
HOLDERS = """
SELECT DISTINCT owner FROM {} WHERE dataset_id = :d AND status = 'active' AND lease_until > 1
"""


def draw(folder: Path, count: int) -> None:
    """Write a pipeline and videos of three scenes; every sixth shows what the first shows."""
    (folder / "videos").mkdir()
    for n in range(count):
        first_scene = 0 if n % 6 == 5 else 3 * n
        frames = [picture(i, scene=first_scene + i // 32) for i in range(96)]
        write_video(folder / "videos" / f"v{n:02}.mp4", frames, B_FRAMES)
    (folder / "line.yaml").write_text(PIPELINE)


class Line:
    """Everything of one set-up, in a folder that holds nothing of curate yet; a context manager."""

    def __init__(self, folder: Path, postgres: bool, seed: int, processes: int) -> None:
        self.folder = folder
        self.chance = random.Random(seed)
        self._stack = ExitStack()
        self.disk = self._closing(Disk(folder / "home", 192))
        self.home = self.disk.folder
        self.clock = Clock(folder)
        self.postgres: Postgres | None = None
        self.redis: Redis | None = None
        self.database_disk = self.disk
        self.url = f"sqlite:///{self.home}/curate.db"
        servers = self._start_servers() if postgres else self.clock.environment()
        settings = {
            "CURATE_HOME": str(self.home),
            "CURATE_LEASE_SECONDS": f"{LEASE_SECONDS:g}",
            "CURATE_MAX_ATTEMPTS": "50",
        }
        clean = {k: v for k, v in os.environ.items() if not k.startswith("CURATE_")}
        self.environment = clean | settings | servers
        self.engine = make_engine(self.url)
        rename = ["unshare", "--uts", "true"]
        own_names = postgres and subprocess.run(rename, capture_output=True).returncode == 0
        log = folder / "workers.log"
        self.hosts = [Host(f"host{n}", processes, self.environment, log, own_names) for n in (1, 2)]
        self.restarts = 0

    def _closing(self, disk: Disk) -> Disk:
        self._stack.callback(disk.close)
        return disk

    def _start_servers(self) -> dict[str, str]:
        owner = "nobody" if os.geteuid() == 0 else None
        self.database_disk = self._closing(Disk(self.folder / "pg", 192, owner))
        log = self.folder / "postgres.log"
        self.postgres = Postgres(self.folder / "socket", self.database_disk, self.clock, log)
        self._stack.callback(self.postgres.stop, signal.SIGQUIT)
        self.redis = Redis(self.folder / "redis")
        self._stack.callback(self.redis.stop)
        self.url = self.postgres.url
        return {"CURATE_DATABASE_URL": self.url, "CURATE_BROKER_URL": self.redis.url}

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
        """Enqueue the videos as a dataset; returns its id. Raises RuntimeError when refused."""
        words = [CURATE, "-q", "enqueue", "videos", "--config", "line.yaml", "--name", name]
        done = subprocess.run(
            words, cwd=self.folder, env=self.environment, capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f"enqueue: {done.stderr}")
        return int(self.query("SELECT id FROM datasets WHERE name = :n", n=name)[0][0])

    def query(self, statement: str, **values: Any) -> list[Any]:
        """The rows of a query. Raises ServiceError while the database is away."""
        with reading(self.engine) as connection:
            return list(connection.execute(text(statement), values))

    def last_batch(self) -> int:
        """The number of the last batch that was saved."""
        statement = "SELECT coalesce(max(id), 0) FROM batches WHERE error IS NULL"
        return int(self.query(statement)[0][0])

    def unfinished(self, dataset: int) -> int:
        """How many rows of the dataset are still active."""
        statement = "SELECT count(*) FROM {} WHERE dataset_id = :d AND status = 'active'"
        return sum(
            int(self.query(statement.format(table), d=dataset)[0][0])
            for table in ("videos", "clips")
        )

    def holders(self, dataset: int) -> list[int]:
        """Pids of living processes that hold rows of the dataset."""
        rows = [
            row
            for table in ("videos", "clips")
            for row in self.query(HOLDERS.format(table), d=dataset)
        ]
        owners = [str(owner).split("|") for (owner,) in rows]
        pids = sorted({int(owner[2]) for owner in owners if len(owner) == 5})
        return [pid for pid in pids if Path(f"/proc/{pid}/exe").exists()]

    def tend(self) -> None:
        """Start again what ended by itself, as an init system would."""
        if self.postgres:
            self.restarts += self.postgres.revive()
        self.restarts += sum(host.revive() for host in self.hosts)
