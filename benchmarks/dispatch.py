"""CPU time of moving clips through stages that do nothing: the cost of curate's own line, against
Celery chains.

    python benchmarks/dispatch.py [--clips 20000] [--stages 5] [--batch 64] [--sample 500]
    [--database both]

Makes a dataset of CLIPS rows that wait for the first of STAGES no-op stages, starts two
Postgres-or-SQLite-and-Redis lines of two worker processes each, one after the other, and waits
until every clip is through. Counted are CPU seconds of the workers, of their supervisor, of the
database server and of Redis, from /proc, from before the first worker starts until all clips are
done. Claim latency is what each claim's transaction took, in milliseconds of wall time: the median
of the first and of the last quarter of the batches. For Postgres also the bytes of its log a
clip-stage. The alternative, in the same run, is what Celery suggests: a chain of STAGES tasks for
each clip of a SAMPLE, each task reading and writing its row, two processes (Redis as broker, no
result backend). The last line printed is one JSON object.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import psutil  # noqa: E402
import redis  # noqa: E402
from sqlalchemy import Engine, text  # noqa: E402
from tests import servers  # noqa: E402

from benchmarks import noop  # noqa: E402
from curate.db import datasets, migrate  # noqa: E402
from curate.db.engine import is_sqlite, make_engine  # noqa: E402

PROCESSES = 2
POSTGRES = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "autovacuum": "on",
    # the rows and indexes of a million clips that move fit in: a quarter of a small server
    "shared_buffers": "2GB",
    "max_wal_size": "4GB",
}


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--clips", type=int, default=20_000)
    parser.add_argument("--stages", type=int, default=5, choices=range(1, 10))
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument(
        "--sample", type=int, default=500, help="clips that go through Celery chains"
    )
    parser.add_argument(
        "--minutes", type=float, default=0, help="end a line after so long; 0: when all are through"
    )
    parser.add_argument("--database", choices=("sqlite", "postgres", "both"), default="both")
    return parser.parse_args()


# --- what processes cost


class Meter:
    """CPU seconds of processes and all their children, also of those that have ended meanwhile."""

    def __init__(self, *pids: int) -> None:
        self._roots = [psutil.Process(pid) for pid in pids]
        self._seen: dict[tuple[int, float], float] = {}
        self.look()
        self._base = self.total

    def look(self) -> None:
        """Look at every process that is there now; call it every second or so."""
        for root in self._roots:
            with contextlib.suppress(psutil.NoSuchProcess):
                for process in (root, *root.children(recursive=True)):
                    with contextlib.suppress(psutil.NoSuchProcess):
                        used = process.cpu_times()
                        self._seen[process.pid, process.create_time()] = used.user + used.system

    @property
    def total(self) -> float:
        """Seconds of all processes seen."""
        return sum(self._seen.values())

    @property
    def seconds(self) -> float:
        """Seconds since the meter was made."""
        return self.total - self._base


def redis_memory(url: str) -> int:
    """The peak of what Redis held, in bytes, above what an empty one holds."""
    with redis.Redis(unix_socket_path=url.removeprefix("redis+socket://")) as client:
        memory = client.info("memory")
        return int(memory["used_memory_peak"]) - int(memory["used_memory_startup"])


def server_pid(url: str) -> int:
    """The process id of Redis."""
    with redis.Redis(unix_socket_path=url.removeprefix("redis+socket://")) as client:
        return int(client.info("server")["process_id"])


# --- the rows


def fill(engine: Engine, clips: int, names: list[str], batch: int) -> int:
    """A dataset of so many clips, 100 a video, that wait for the first stage; returns its id."""
    from curate.configs.pipeline import parse
    from curate.tasks.registry import stages

    steps = ["probe", "split", *names]
    raw = [{"stage": name, "batch_size": batch} for name in steps]
    made = datasets.create(
        engine, "dispatch", "/v", parse(raw, stages() | noop.CLASSES, "dispatch")
    )
    numbers = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {})"
    videos = (
        f"{numbers.format(-(-clips // 100))} INSERT INTO videos (id, dataset_id, path, relpath, "
        f"clip_stem, fingerprint,"
        " stage, status) SELECT i + 1, :d, 'v' || i, 'v' || i, 'v' || i, '', 'done', 'kept' FROM n"
    )
    rows = (
        f"{numbers.format(clips)} INSERT INTO clips (dataset_id, video_id, clip_index, start_pts, "
        f"end_pts, num_frames,"
        " fps, width, height, seconds, hash_first, hash_middle, stage, status)"
        " SELECT :d, i / 100 + 1, i % 100, i, i + 1, 120, 30.0, 1280, 720, 4.0, "
        "'0123456789abcdef', '0123456789abcdef',"
        " :s, 'active' FROM n"
    )
    if is_sqlite(engine):
        videos, rows = (_insert_first(q) for q in (videos, rows))
    with engine.begin() as connection:
        connection.execute(text(_insert_first(videos)), {"d": made.id})
        connection.execute(text(_insert_first(rows)), {"d": made.id, "s": names[0]})
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE")
    return made.id


def _insert_first(query: str) -> str:
    """WITH … INSERT … SELECT as INSERT … WITH … SELECT, which both engines take."""
    head, found, insert = query.partition(" INSERT ")
    if not found:
        return query
    before, select, rest = insert.partition(" SELECT ")
    return f"INSERT {before} {head}{select}{rest}"


def left(engine: Engine, names: list[str]) -> bool:
    """Whether a clip is still on its way: one look-up a stage in the claim index, however many rows
    there are.
    """
    query = text(
        "SELECT 1 FROM clips WHERE dataset_id = 1 AND stage = :s AND status = 'active' LIMIT 1"
    )
    with engine.connect().execution_options(curate_readonly=True) as connection:
        return any(connection.execute(query, {"s": name}).first() for name in names)


# --- the two lines


def environment(home: Path, database: str, broker: str) -> dict[str, str]:
    """What workers and the CLI need to know."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("CURATE_")}
    ours = {"CURATE_HOME": str(home), "CURATE_DATABASE_URL": database, "CURATE_BROKER_URL": broker}
    return clean | ours | {"PYTHONPATH": f"{noop.plugin(home / 'plugin')}:{ROOT}:{ROOT / 'src'}"}


@contextlib.contextmanager
def running(
    command: list[str], env: dict[str, str], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """A program of the line, told to stop at the end."""
    with (
        log.open("ab") as out,
        subprocess.Popen(command, env=env, stdout=out, stderr=out) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()
            process.wait(60)


def curate(
    home: Path, database: str, pid: int | None, broker: str, args: argparse.Namespace
) -> dict[str, Any]:
    """All clips through the stages by curate; what each part cost."""
    engine = make_engine(database)
    migrate.ensure(engine)
    names = [f"noop{n}" for n in range(1, args.stages + 1)]
    fill(engine, args.clips, names, args.batch)
    env = environment(home, database, broker)
    log_start = wal(engine)
    worker = [
        str(Path(sys.executable).with_name("curate")),
        "worker",
        "-Q",
        "cpu",
        "-c",
        str(PROCESSES),
    ]
    started = time.monotonic()
    with running([*worker, "--loglevel", "WARNING"], env, home / "worker.log") as process:
        meters = {"worker": Meter(process.pid), "broker": Meter(server_pid(broker))}
        meters |= {"database": Meter(pid)} if pid else {}
        deadline = started + 60 * (args.minutes or 1e9)
        while left(engine, names) and time.monotonic() < deadline:
            time.sleep(1)
            for meter in meters.values():
                meter.look()
            _progress(engine, args, started)
        clip_stages = saved(engine)
    micro = {name: round(1e6 * meter.seconds / clip_stages, 1) for name, meter in meters.items()}
    print(file=sys.stderr)
    return {
        "microseconds": micro | {"all": round(sum(micro.values()), 1)},
        "claim_ms": claim_latency(engine),
        "wal_bytes": round((wal(engine) - log_start) / clip_stages),
        "seconds": round(time.monotonic() - started, 1),
        "clip_stages": clip_stages,
        "through": _done(engine),
        "broker_peak_mb": round(redis_memory(broker) / 1e6, 2),
    }


def wal(engine: Engine) -> int:
    """How many bytes Postgres has written to its log so far; 0 for SQLite."""
    if is_sqlite(engine):
        return 0
    with engine.connect() as connection:
        return int(
            connection.execute(text("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn")).scalar_one()
        )


def saved(engine: Engine) -> int:
    """How many clips the stages have saved, each counted once a stage."""
    with engine.connect().execution_options(curate_readonly=True) as connection:
        return int(
            connection.execute(text("SELECT coalesce(sum(n_ok), 0) FROM batches")).scalar_one()
        )


def _progress(engine: Engine, args: argparse.Namespace, started: float) -> None:
    done = saved(engine)
    rate = done / max(1e-9, time.monotonic() - started)
    print(
        f"\r{done:,} of {args.clips * args.stages:,} clip-stages, {rate:,.0f}/s ",
        end="",
        file=sys.stderr,
    )


def _done(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(
            connection.execute(
                text("SELECT count(*) FROM clips WHERE status = 'kept'")
            ).scalar_one()
        )


def claim_latency(engine: Engine) -> dict[str, float]:
    """Milliseconds of a claim: medians over the first and the last quarter of the batches."""
    with engine.connect() as connection:
        query = text("SELECT claim_seconds FROM batches WHERE n_ok > 0 ORDER BY id")
        found = [1e3 * row[0] for row in connection.execute(query)]
    quarter = max(1, len(found) // 4)
    return {
        "first": round(statistics.median(found[:quarter]), 2),
        "last": round(statistics.median(found[-quarter:]), 2),
    }


def chains(
    home: Path, database: str, pid: int | None, broker: str, args: argparse.Namespace
) -> float:
    """CPU microseconds a clip-stage of a Celery chain for each clip, everything counted."""
    engine = make_engine(database)
    with engine.begin() as connection:
        connection.execute(
            text("CREATE TABLE chained (id INTEGER PRIMARY KEY, stage INTEGER NOT NULL)")
        )
        connection.execute(
            text("INSERT INTO chained VALUES (:i, 0)"), [{"i": i} for i in range(args.sample)]
        )
    env = environment(home, database, broker) | {"CHAIN_DATABASE": database, "CHAIN_BROKER": broker}
    celery = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "benchmarks.noop_chain",
        "worker",
        "-c",
        str(PROCESSES),
    ]
    with running(
        [*celery, "--without-gossip", "--without-mingle"], env, home / "chain.log"
    ) as process:
        meters = [Meter(pid) for pid in (process.pid, server_pid(broker), pid) if pid]
        time.sleep(8)  # its start is not counted, as curate's, which is: the sample is small
        for meter in meters:
            meter.look()
        before = sum(meter.seconds for meter in meters)
        sent = subprocess.run(
            [sys.executable, "-m", "benchmarks.noop_chain", str(args.sample), str(args.stages)],
            env=env, cwd=ROOT, check=True, capture_output=True, text=True,
        )  # fmt: skip
        while _unchained(engine, args.stages):
            time.sleep(0.5)
        for meter in meters:
            meter.look()
        used = sum(meter.seconds for meter in meters) - before + float(sent.stdout)
    return round(1e6 * used / (args.sample * args.stages), 1)


def _unchained(engine: Engine, stages: int) -> int:
    with engine.connect().execution_options(curate_readonly=True) as connection:
        return int(
            connection.execute(
                text("SELECT count(*) FROM chained WHERE stage < :s"), {"s": stages}
            ).scalar_one()
        )


def one(kind: str, args: argparse.Namespace) -> dict[str, Any]:
    """Both lines on one database."""
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dispatch-")))
        broker = stack.enter_context(servers.redis_server())
        if kind == "postgres":
            server = stack.enter_context(servers.postgres_server(POSTGRES))
            database = stack.enter_context(server.database())
            pid = int((server.folder / "data" / "postmaster.pid").read_text().split()[0])
        else:
            database, pid = f"sqlite:///{home / 'curate.db'}", None
        found = curate(home, database, pid, broker, args)
        found["chain_microseconds"] = chains(home, database, pid, broker, args)
        found["times_less"] = round(found["chain_microseconds"] / found["microseconds"]["all"], 1)
    return found


def main() -> None:
    """Measure and print."""
    args = arguments()
    kinds = ("sqlite", "postgres") if args.database == "both" else (args.database,)
    found: dict[str, Any] = {"clips": args.clips, "stages": args.stages, "batch": args.batch}
    for kind in kinds:
        print(f"{kind}: {args.clips:,} clips x {args.stages} stages", file=sys.stderr)
        found[kind] = one(kind, args)
        for name, value in found[kind].items():
            print(f"{kind:10} {name:20} {value}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
