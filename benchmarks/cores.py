"""Many processes on few cores: the default line with sleep in place of decoding and encoding.

    python -m benchmarks.cores [--processes 16,64] [--database sqlite|postgres|both]
        [--seconds 0.01,0.22,0.75] [--length 20] [--noop]

Each line gets videos of one to many clips, as much work as its processes sleep through in LENGTH
seconds, after a few that warm it up. `--seconds` is what probe takes a video, split and cut a clip:
as measured on five real files of 180 to 720 lines (benchmarks/frontend.py). `--noop` sleeps
nowhere, so that only the line itself is left. All else is real: claims, saves, dedup, messages,
broker.

For each line: clips a second; what share of their time processes slept in stages, which is what
they would compute; the tail, from when a tenth of the processes had run their last batch to the
end; CPU milliseconds a clip of processes, Celery's parent, supervisor, broker, database server.
Then how busy each part is of which there is only one, and how many clips a second it lets through
at most. Of SQLite that is its one writer (CPU seconds in transactions that write); those on
Postgres run side by side. The last line printed is one JSON object.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import text
from tests import servers

from benchmarks import slept
from benchmarks.dispatch import running, server_pid
from benchmarks.scale_servers import SETTINGS, Server
from benchmarks.start import spent
from curate.db import migrate
from curate.db.engine import make_engine

ROOT = Path(__file__).resolve().parents[1]
CURATE = [sys.executable, "-m", "curate.cli.main"]
NOOP_CLIPS = 3000
MEDIAN, SPREAD, MOST = 6.0, 1.0, 30  # clips of a video: lognormal, as lengths of videos are


def videos(folder: Path, clips: int, seed: int = 1) -> int:
    """Draw files of so many clips in all, in an order by chance; returns how many clips."""
    folder.mkdir(parents=True)
    chance = random.Random(seed)
    made = number = 0
    while made < clips:
        count = min(MOST, max(1, round(chance.lognormvariate(0, SPREAD) * MEDIAN)))
        (folder / f"{number:05}-{count}.mp4").write_bytes(b"x")
        made, number = made + count, number + 1
    return made


def ended_children(pid: int) -> float:
    """CPU seconds of those children of a process that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class Line:
    """A worker of many processes on a database, with what it has cost so far."""

    def __init__(self, home: Path, database: Server, url: str, broker: str) -> None:
        self.home, self.url = home, url
        self.engine = make_engine(url)
        migrate.ensure(self.engine)
        self._database, self._redis = database, server_pid(broker)
        (home / "transactions").mkdir()
        self.env = {
            **{k: v for k, v in os.environ.items() if not k.startswith("CURATE_")},
            "CURATE_HOME": str(home), "CURATE_DATABASE_URL": url, "CURATE_BROKER_URL": broker,
            slept.FOLDER: str(home / "transactions"),
            "PYTHONPATH": f"{slept.plugin(home / 'plugin')}:{ROOT}:{ROOT / 'src'}",
        }  # fmt: skip

    @contextlib.contextmanager
    def worker(self, processes: int, seconds: str) -> Iterator[int]:
        """The worker; the process id of its supervisor."""
        command = [*CURATE, "worker", "-Q", "cpu", "-c", str(processes), "--loglevel", "WARNING"]
        env = self.env | {slept.SECONDS: seconds}
        with running(command, env, self.home / "worker.log") as process:
            yield process.pid

    def enqueue(self, folder: Path) -> None:
        """Enqueue a folder, and wait until nothing of it is left."""
        command = [*CURATE, "enqueue", str(folder), "--name", folder.name]
        command += ["--set", "dedup.views=mirror"]
        subprocess.run(command, env=self.env, check=True, capture_output=True)
        while any(
            self.ask(f"SELECT 1 FROM {table} WHERE status = 'active' LIMIT 1")
            for table in ("videos", "clips")
        ):
            time.sleep(1)

    def ask(self, query: str, **values: Any) -> list[Any]:
        """Rows of a query."""
        with self.engine.connect().execution_options(curate_readonly=True) as connection:
            return list(connection.execute(text(query), values))

    def cost(self, supervisor: int) -> dict[str, float]:
        """CPU seconds so far, by part; seconds of transactions."""
        parent = next(p for p in children(supervisor) if p != self._redis)
        waited, held = slept.transactions(self.home / "transactions")
        pool = sum(map(spent, children(parent))) + ended_children(parent)
        return {
            "processes": pool, "parent": spent(parent), "supervisor": spent(supervisor),
            "broker": spent(self._redis), "server": self._database.cpu(),
            "waited": waited, "held": held,
        }  # fmt: skip


def measure(line: Line, processes: int, seconds: str, length: float) -> dict[str, Any]:
    """Run one line; what it did, cost, and what bound it."""
    probe, split, cut = map(float, seconds.split(","))
    work = split + cut
    clips = round(processes * length / work) if work else NOOP_CLIPS
    videos(line.home / "warm", 2 * processes)
    made = videos(line.home / "films", clips)
    count = len(list((line.home / "films").iterdir()))
    with line.worker(processes, seconds) as supervisor:
        line.enqueue(line.home / "warm")
        before = line.cost(supervisor)
        line.enqueue(line.home / "films")
        after = line.cost(supervisor)
    used = {name: after[name] - before[name] for name in after}
    of_films = "FROM batches WHERE n_ok > 0 AND dataset_id = (SELECT max(id) FROM datasets)"
    batches = line.ask(f"SELECT stage, worker, started_at, seconds, claim_seconds {of_films}")
    assert line.ask("SELECT count(*) FROM clips WHERE status = 'kept'")[0][0] >= made
    ends: dict[str, float] = {}
    for batch in batches:
        end = batch.started_at + batch.seconds
        ends[batch.worker] = max(ends.get(batch.worker, 0.0), end)
    last = sorted(ends.values())
    wall = last[-1] - min(batch.started_at for batch in batches)
    dedup = sum(batch.seconds for batch in batches if batch.stage == "dedup")
    busy = {
        "cores of this host": sum(list(used.values())[:5]) / wall / (os.cpu_count() or 1),
        "parent": used["parent"] / wall, "broker": used["broker"] / wall, "dedup": dedup / wall,
    }  # fmt: skip
    if line.engine.dialect.name == "sqlite":
        busy["writer"] = used["held"] / wall
    return {
        "clips": made,
        "seconds": wall,
        "clips_a_second": made / wall,
        "slept": (probe * count + work * made) / (processes * wall),
        "waited_for_writer": used["waited"] / (processes * wall),
        "tail_seconds": last[-1] - last[len(last) // 10],
        "batches": len(batches),
        "claim_ms": 1e3 * statistics.median(batch.claim_seconds for batch in batches),
        "cpu_ms": {name: 1e3 * used[name] / made for name in list(used)[:5]},
        "busy": busy,
        "most_clips_a_second": {
            name: made / (share * wall) for name, share in busy.items() if share > 0
        },
    }


def one(kind: str, processes: int, seconds: str, length: float) -> dict[str, Any]:
    """One line on a database of its own."""
    settings = SETTINGS | {"max_connections": str(3 * processes + 50)}
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="curate-cores-")))
        broker = stack.enter_context(servers.redis_server())
        if kind == "postgres":
            running_one = stack.enter_context(servers.postgres_server(settings))
            server = Server(kind, running_one.folder / "data", running_one)
        else:
            server = Server(kind, home)
        url = stack.enter_context(server.database("cores"))
        return measure(Line(home, server, url, broker), processes, seconds, length)


def rounded(value: Any) -> Any:
    """Three digits of every number."""
    if isinstance(value, dict):
        return {name: rounded(one) for name, one in value.items()}
    return float(f"{value:.3g}") if isinstance(value, float) else value


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--processes", default="16,64")
    parser.add_argument("--database", choices=("sqlite", "postgres", "both"), default="both")
    parser.add_argument("--seconds", default="0.01,0.22,0.75", help="of probe, split, cut")
    parser.add_argument("--length", type=float, default=20, help="seconds of sleep a process")
    parser.add_argument("--noop", action="store_true", help="sleep nowhere")
    options = parser.parse_args()
    kinds = ("sqlite", "postgres") if options.database == "both" else (options.database,)
    seconds = "0,0,0" if options.noop else options.seconds
    found: dict[str, Any] = {"seconds": seconds}
    for processes in map(int, options.processes.split(",")):
        for kind in kinds:
            result = rounded(one(kind, processes, seconds, options.length))
            found[f"{kind}_{processes}"] = result
            print(f"{kind}, {processes} processes", flush=True)
            for name, value in result.items():
                print(f"  {name:20} {value}", flush=True)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
