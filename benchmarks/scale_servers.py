"""The databases of the benchmarks of scale: a SQLite file, and a Postgres set up as one would for
this size.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for tests.servers

from tests.servers import Postgres, postgres_server

# durable, as a server at work is; sized for a host of some 8 GB
SETTINGS = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "autovacuum": "on",
    "shared_buffers": "1GB",
    "effective_cache_size": "4GB",
    "work_mem": "32MB",
    "maintenance_work_mem": "256MB",
    "max_wal_size": "4GB",
    "wal_compression": "on",
    "jit": "off",
}
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Server:
    """A database server or, without a process, SQLite: makes databases and tells its own CPU
    seconds.
    """

    kind: str
    folder: Path
    postgres: Postgres | None = None

    @contextmanager
    def database(self, name: str) -> Iterator[str]:
        """The URL of an empty database, removed at the end."""
        if self.postgres is not None:
            with self.postgres.database() as url:
                yield url
            return
        path = self.folder / f"{name}.db"
        try:
            yield f"sqlite:///{path}"
        finally:
            for file in self.folder.glob(f"{name}.db*"):
                file.unlink()

    def cpu(self) -> float:
        """User and system seconds that the server took since it started; 0 for SQLite, which runs
        in its client.
        """
        if self.postgres is None:
            return 0.0
        main = int((self.folder / "postmaster.pid").read_text().split()[0])
        children = [
            int(p.name)
            for p in Path("/proc").iterdir()
            if p.name.isdigit() and _stat(p.name)[1] == main
        ]
        ended = _stat(str(main))
        return (sum(ended[2:]) + sum(sum(_stat(str(c))[2:4]) for c in children)) / _TICK


def _stat(pid: str) -> tuple[int, ...]:
    """Pid, parent, then ticks: user, system, and those of its children that ended; zeros for a
    process that is gone.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return (0,) * 6
    return (int(pid), int(fields[1]), *map(int, fields[11:15]))


@contextmanager
def server(kind: str) -> Iterator[Server]:
    """A server of the kind, `sqlite` or `postgres`, for as long as the block."""
    if kind == "sqlite":
        with tempfile.TemporaryDirectory(prefix="curate-scale-") as folder:
            yield Server(kind, Path(folder))
        return
    with postgres_server(SETTINGS) as postgres:
        yield Server(kind, postgres.folder / "data", postgres)
