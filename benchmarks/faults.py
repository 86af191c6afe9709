"""Breaks a real line again and again, and compares what comes out with an undisturbed run.

    python benchmarks/faults.py [--faults 10] [--seed 1] [--database postgres|sqlite|both] [--keep]

Two set-ups: Postgres + Redis with two hosts (`curate worker`, each with a host name of its own), and SQLite + the
embedded Redis with two workers on one host. Each runs probe, split, dedup, a filter, motion and cut over small drawn
videos. Faults come one after the other, only while work is under way: each when a batch has been saved since the last
one and another is held. A finished dataset is checked, and the same videos are enqueued as the next one, until all
faults are through. The kinds come equally often, in an order drawn from the seed.

After each dataset: every column of videos and clips but ids, and the bytes of each clip and of each archive of samples,
are compared with the undisturbed run (`equal`); clips that are missing or not finished are `lost`; more rows than
there should be, or a row that was moved on from one stage twice, are `doubled`; `stale_writes` are writes to a row by a
process that did not hold it, which triggers in the database find (fault_audit.py says how; its test breaks the guard
and plants each violation). A lease is lost when another owner has the row: who is late but still the owner may save,
and is counted as `late`.

CURATE_LEASE_SECONDS is 3, and CURATE_MAX_ATTEMPTS 50: with a kill every few seconds the same row may be hit three
times by chance, which the default takes for a row that crashes its worker. Full disks need the right to mount, clock
steps a C compiler (fault_clock.c); they are skipped without, and said so. The last line printed is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sqlalchemy import text
from tests.drawing import picture
from tests.media import B_FRAMES, write_video

from benchmarks.fault_audit import Verdict, final_rows, judge, watch
from benchmarks.fault_hosts import CURATE, Clock, Disk, Host, Postgres, Redis, end_with_parent, redis_of, send
from curate.configs.errors import ServiceError
from curate.db.engine import make_engine, reading

LEASE = 3.0
PATIENCE = 120.0  # seconds without a saved batch after which the line is taken to be stuck
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


class Stuck(Exception):
    """Nothing is saved any more."""


@dataclass
class Kind:
    """What became of the faults of one kind."""

    injected: int = 0
    seconds: list[float] = field(default_factory=list)  # until the next batch was saved
    skipped: str = ""
    wrong: int = 0  # datasets with a fault of this kind that were not as the undisturbed one


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
        settings = {"CURATE_HOME": str(self.home), "CURATE_LEASE_SECONDS": f"{LEASE:g}", "CURATE_MAX_ATTEMPTS": "50"}
        self.postgres: Postgres | None = None
        self.redis: Redis | None = None
        self.database_disk = self.disk
        self.url = f"sqlite:///{self.home}/curate.db"
        if postgres:
            self.database_disk = self._closing(Disk(folder / "pg", 192, "nobody" if os.geteuid() == 0 else None))
            self.postgres = Postgres(folder / "socket", self.database_disk, self.clock, folder / "postgres.log")
            self._stack.callback(self.postgres.stop, signal.SIGQUIT)
            self.redis = Redis(folder / "redis")
            self._stack.callback(self.redis.stop)
            self.url = self.postgres.url
            settings |= {"CURATE_DATABASE_URL": self.url, "CURATE_BROKER_URL": self.redis.url}
        self.environment = clean | settings | ({} if postgres else self.clock.environment())
        self.engine = make_engine(self.url)
        own_names = postgres and subprocess.run(["unshare", "--uts", "true"], capture_output=True).returncode == 0
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
        done = subprocess.run(words, cwd=self.folder, env=self.environment, capture_output=True, text=True)
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
        return sum(int(self.ask(query.format(table), d=dataset)[0][0]) for table in ("videos", "clips"))

    def holders(self, dataset: int) -> list[int]:
        """Pids of living processes that hold rows."""
        query = "SELECT DISTINCT owner FROM {} WHERE dataset_id = :d AND status = 'active' AND lease_until > 1"
        owners = [str(row[0]) for table in ("videos", "clips") for row in self.ask(query.format(table), d=dataset)]
        pids = sorted({int(owner.split("|")[2]) for owner in owners if owner.count("|") == 4})
        return [pid for pid in pids if Path(f"/proc/{pid}/exe").exists()]

    def tend(self) -> None:
        """Start again what ended by itself, as an init system would."""
        if self.postgres:
            self.restarts += self.postgres.revive()
        self.restarts += sum(host.revive() for host in self.hosts)


# ---------------------------------------------------------------- the faults: each returns when the cause is gone


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
    """Redis is killed; one of our own is started again, the embedded one is the supervisors' business."""
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
        "clock an hour forward, then back": (lambda a, b: step_clock(a, b, HOUR), line.clock.why_not),
        "clock an hour back, then forward": (lambda a, b: step_clock(a, b, -HOUR), line.clock.why_not),
    }
    if line.postgres is None:
        found["full disk of database, samples, clips"] = (lambda a, b: fill(a, b, a.disk), line.disk.why_not)
        return found
    found["full disk of samples and clips"] = (lambda a, b: fill(a, b, a.disk), line.disk.why_not)
    found["full disk of Postgres"] = (lambda a, b: fill(a, b, a.database_disk), line.database_disk.why_not)
    found["Postgres restarted, immediate"] = (lambda a, b: restart_postgres(a, b, signal.SIGQUIT), "")
    found["Postgres restarted, fast"] = (lambda a, b: restart_postgres(a, b, signal.SIGINT), "")
    return found


# ---------------------------------------------------------------- the run


class Trial:
    """The faults of one line, one dataset after the other."""

    def __init__(self, line: Line, count: int) -> None:
        self._line = line
        self._faults = faults(line)
        self.kinds = {name: Kind(skipped=why) for name, (_, why) in self._faults.items()}
        usable = [name for name, kind in self.kinds.items() if not kind.skipped]
        self._plan = [name for n in range(count) for name in [usable[n % len(usable)]]]
        line.chance.shuffle(self._plan)
        self._count = count
        self.verdicts: list[Verdict] = []
        self.stuck = ""

    @property
    def injected(self) -> int:
        """Faults so far."""
        return sum(kind.injected for kind in self.kinds.values())

    def run(self) -> None:
        """The undisturbed dataset, then disturbed ones until the plan is done."""
        line = self._line
        calm = line.enqueue("calm")
        watch(line.engine)
        for host in line.hosts:
            host.start()
        self._finish(calm, [])
        expected = final_rows(line.engine, calm, line.home)
        self._check("calm", calm, expected, set())
        while self._plan and not self.stuck:
            name = f"d{len(self.verdicts)}"
            dataset, met = line.enqueue(name), set[str]()
            try:
                self._finish(dataset, self._plan, met)
            except Stuck as error:
                self.stuck = str(error)
            self._check(name, dataset, expected, met)

    def _finish(self, dataset: int, plan: list[str], met: set[str] | None = None) -> None:
        """Inject faults from the plan until the dataset is finished."""
        line, last, moved = self._line, -1, time.monotonic()
        waiting: tuple[str, float] | None = None  # the fault whose end was then, and nothing is saved since
        while True:
            line.tend()
            try:
                saved, left = line.saved(), line.unfinished(dataset)
                held = line.holders(dataset)
            except ServiceError:
                time.sleep(0.1)
                continue
            if saved > last:
                last, moved = saved, time.monotonic()
                if waiting:
                    self.kinds[waiting[0]].seconds.append(moved - waiting[1])
                    self._say(f"{waiting[0]}: {moved - waiting[1]:.1f} s until a batch was saved")
                    waiting = None
            if not left:
                return
            if time.monotonic() - moved > PATIENCE:
                raise Stuck(f"{left} rows of dataset {dataset} wait, nothing was saved for {PATIENCE:g} s")
            if plan and held and not waiting:
                kind = plan.pop()
                self.kinds[kind].injected += 1
                if met is not None:
                    met.add(kind)
                self._faults[kind][0](line, line.chance.choice(held))
                line.tend()
                waiting = (kind, time.monotonic())
                time.sleep(line.chance.uniform(0, 0.5))
            else:
                time.sleep(0.02 if plan else 0.2)

    def _check(self, name: str, dataset: int, expected: Any, met: set[str]) -> None:
        line = self._line
        verdict = judge(line.engine, dataset, final_rows(line.engine, dataset, line.home), expected)
        self.verdicts.append(verdict)
        bad = not verdict.equal or verdict.lost or verdict.doubled or verdict.stale_writes
        for kind in met:
            self.kinds[kind].wrong += bool(bad)
        told = f"lost {verdict.lost}, doubled {verdict.doubled}, stale {verdict.stale_writes}, late {verdict.late}"
        self._say(f"dataset {name} ({len(expected)} rows): {told}, {'equal' if verdict.equal else 'NOT EQUAL'}")
        for difference in verdict.differences[:10]:
            self._say(f"    {difference}")
        if not bad:
            for video in line.ask("SELECT id FROM videos WHERE dataset_id = :d", d=dataset):
                (line.home / "samples" / str(video[0] // 1000) / f"{video[0]}.zip").unlink(missing_ok=True)
            shutil.rmtree(line.home / "clips" / str(dataset), ignore_errors=True)

    def _say(self, what: str) -> None:
        database = "postgres" if self._line.postgres else "sqlite"
        print(f"{time.strftime('%X')} {database} {self.injected}/{self._count} {what}", file=sys.stderr, flush=True)

    def table(self) -> str:
        """A line a kind."""
        lines = [f"{'fault':40} {'injected':>8} {'until the next batch, s':>24}  outcome"]
        for name, kind in self.kinds.items():
            took = f"median {statistics.median(kind.seconds):.1f} max {max(kind.seconds):.1f}" if kind.seconds else ""
            good = "as undisturbed" if not kind.wrong else f"{kind.wrong} datasets differ"
            outcome = f"skipped: {kind.skipped}" if kind.skipped else good if kind.injected else ""
            lines.append(f"{name:40} {kind.injected:8} {took:>24}  {outcome}")
        return "\n".join(lines)

    def figures(self, seconds: float) -> dict[str, Any]:
        """What the last line says."""
        total = {
            name: sum(getattr(v, name) for v in self.verdicts) for name in ("lost", "doubled", "stale_writes", "late")
        }
        equal = all(v.equal for v in self.verdicts) and not self.stuck
        return {
            "faults": self.injected, **total, "equal": equal, "datasets": len(self.verdicts),
            "restarts": self._line.restarts, "stuck": self.stuck, "seconds": round(seconds, 1),
        }  # fmt: skip


def draw(folder: Path, count: int) -> None:
    """Small videos of three scenes; every sixth one shows the same as the first."""
    (folder / "videos").mkdir()
    for n in range(count):
        seen = 0 if n % 6 == 5 else n
        frames = [picture(i, scene=3 * seen + i // 32) for i in range(96)]
        write_video(folder / "videos" / f"v{n:02}.mp4", frames, B_FRAMES)
    (folder / "line.yaml").write_text(PIPELINE)


def run_one(asked: argparse.Namespace) -> dict[str, Any]:
    """One set-up: its table on stdout; returns its figures."""
    started = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="curate-faults-"))
    folder.chmod(0o755)
    good = False
    try:
        draw(folder, asked.videos)
        with Line(folder, asked.database == "postgres", asked.seed, asked.processes) as line:
            trial = Trial(line, asked.faults)
            trial.run()
            figures = trial.figures(time.monotonic() - started)
            good = figures["equal"] and not (figures["lost"] or figures["doubled"] or figures["stale_writes"])
            if asked.keep or not good:
                shutil.copytree(line.home, folder / "kept", symlinks=True, ignore=shutil.ignore_patterns("*.sock"))
        print(f"{asked.database}, {len(trial.verdicts)} datasets, seed {asked.seed}\n{trial.table()}")
    finally:
        if good and not asked.keep:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            print(f"logs are in {folder}", file=sys.stderr)
    return figures


def run_both(asked: argparse.Namespace) -> dict[str, Any]:
    """Both set-ups side by side, in processes of their own."""
    options = [
        word for name in ("faults", "seed", "videos", "processes") for word in (f"--{name}", str(getattr(asked, name)))
    ]
    runs = {}
    for database in ("sqlite", "postgres"):
        command = [sys.executable, __file__, "--database", database, *options, *(["--keep"] if asked.keep else [])]
        runs[database] = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=end_with_parent)
    figures: dict[str, Any] = {}
    for database, process in runs.items():
        told, _ = process.communicate()
        table, _, last = told.rstrip("\n").rpartition("\n")
        print(f"{table}\n")
        figures[database] = json.loads(last)
    summed = {n: sum(f[n] for f in figures.values()) for n in ("faults", "lost", "doubled", "stale_writes")}
    equal = all(f["equal"] for f in figures.values())
    return {**summed, "equal": equal, "seconds": max(f["seconds"] for f in figures.values()), **figures}


def main() -> None:
    """Run, print the table and the figures; ends with 1 when anything was lost, doubled, stale or different."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--faults", type=int, default=10, help="for each database")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--database", choices=("sqlite", "postgres", "both"), default="both")
    parser.add_argument("--videos", type=int, default=24, help="of a dataset; each has three clips")
    parser.add_argument("--processes", type=int, default=2, help="of each of the two workers")
    parser.add_argument("--keep", action="store_true", help="leave the folder with logs and database")
    asked = parser.parse_args()
    figures = run_both(asked) if asked.database == "both" else run_one(asked)
    print(json.dumps(figures))
    sys.exit(0 if figures["equal"] and not figures["lost"] + figures["doubled"] + figures["stale_writes"] else 1)


if __name__ == "__main__":
    main()
