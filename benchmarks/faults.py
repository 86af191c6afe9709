"""Breaks a real line again and again, and compares what comes out with an undisturbed run.

    python benchmarks/faults.py [--faults 10] [--seed 1] [--database postgres|sqlite|both] [--keep]

Two set-ups: Postgres + Redis with two hosts (`curate worker`, each with a host name of its own),
and SQLite + the embedded Redis with two workers on one host. Each runs probe, split, dedup, a
filter, motion and cut over small drawn videos. Faults come one after the other, only while work is
under way: each when a batch has been saved since the last one and another is held. A finished
dataset is checked, and the same videos are enqueued as the next one, until all faults are through.
The kinds come equally often, in an order drawn from the seed.

After each dataset: every column of videos and clips but ids, and the bytes of each clip and of each
archive of samples, are compared with the undisturbed run (`equal`); clips that are missing or not
finished are `lost`; more rows than there should be, or a row that was moved on from one stage
twice, are `doubled`; `stale_writes` are writes to a row by a process that did not hold it, which
triggers in the database find (fault_audit.py says how; its test breaks the guard and plants each
violation). A lease is lost when another owner has the row: who is late but still the owner may
save, and is counted as `late`.

CURATE_LEASE_SECONDS is 3, and CURATE_MAX_ATTEMPTS 50: with a kill every few seconds the same row
may be hit three times by chance, which the default takes for a row that crashes its worker. Full
disks need the right to mount, clock steps a C compiler (fault_clock.c); they are skipped without,
and said so. The last line printed is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.fault_audit import Verdict, final_rows, judge, watch
from benchmarks.fault_hosts import end_with_parent
from benchmarks.fault_line import Line, draw, faults
from curate.configs.errors import ServiceError

PATIENCE = 120.0  # seconds without a saved batch after which the line is taken to be stuck


class Stuck(Exception):
    """Nothing is saved any more."""


@dataclass
class Kind:
    """What became of the faults of one kind."""

    injected: int = 0
    seconds: list[float] = field(default_factory=list)  # until the next batch was saved
    skipped: str = ""
    wrong: int = 0  # datasets with a fault of this kind that were not as the undisturbed one


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
        waiting: tuple[str, float] | None = (
            None  # the fault whose end was then, and nothing is saved since
        )
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
                raise Stuck(
                    f"{left} rows of dataset {dataset} wait, nothing was saved for {PATIENCE:g} s"
                )
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
        self._say(
            f"dataset {name} ({len(expected)} rows): {told}, {'equal' if verdict.equal else 'NOT EQUAL'}"
        )
        for difference in verdict.differences[:10]:
            self._say(f"    {difference}")
        if not bad:
            for video in line.ask("SELECT id FROM videos WHERE dataset_id = :d", d=dataset):
                (line.home / "samples" / str(video[0] // 1000) / f"{video[0]}.zip").unlink(
                    missing_ok=True
                )
            shutil.rmtree(line.home / "clips" / str(dataset), ignore_errors=True)

    def _say(self, what: str) -> None:
        database = "postgres" if self._line.postgres else "sqlite"
        print(
            f"{time.strftime('%X')} {database} {self.injected}/{self._count} {what}",
            file=sys.stderr,
            flush=True,
        )

    def table(self) -> str:
        """A line a kind."""
        lines = [f"{'fault':40} {'injected':>8} {'until the next batch, s':>24}  outcome"]
        for name, kind in self.kinds.items():
            took = (
                f"median {statistics.median(kind.seconds):.1f} max {max(kind.seconds):.1f}"
                if kind.seconds
                else ""
            )
            good = "as undisturbed" if not kind.wrong else f"{kind.wrong} datasets differ"
            outcome = f"skipped: {kind.skipped}" if kind.skipped else good if kind.injected else ""
            lines.append(f"{name:40} {kind.injected:8} {took:>24}  {outcome}")
        return "\n".join(lines)

    def figures(self, seconds: float) -> dict[str, Any]:
        """What the last line says."""
        total = {
            name: sum(getattr(v, name) for v in self.verdicts)
            for name in ("lost", "doubled", "stale_writes", "late")
        }
        equal = all(v.equal for v in self.verdicts) and not self.stuck
        return {
            "faults": self.injected, **total, "equal": equal, "datasets": len(self.verdicts),
            "restarts": self._line.restarts, "stuck": self.stuck, "seconds": round(seconds, 1),
        }  # fmt: skip


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
            good = figures["equal"] and not (
                figures["lost"] or figures["doubled"] or figures["stale_writes"]
            )
            if asked.keep or not good:
                shutil.copytree(
                    line.home,
                    folder / "kept",
                    symlinks=True,
                    ignore=shutil.ignore_patterns("*.sock"),
                )
        print(
            f"{asked.database}, {len(trial.verdicts)} datasets, seed {asked.seed}\n{trial.table()}"
        )
    finally:
        if good and not asked.keep:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            print(f"logs are in {folder}", file=sys.stderr)
    return figures


def run_both(asked: argparse.Namespace) -> dict[str, Any]:
    """Both set-ups side by side, in processes of their own."""
    options = [
        word
        for name in ("faults", "seed", "videos", "processes")
        for word in (f"--{name}", str(getattr(asked, name)))
    ]
    runs = {}
    for database in ("sqlite", "postgres"):
        command = [
            sys.executable,
            __file__,
            "--database",
            database,
            *options,
            *(["--keep"] if asked.keep else []),
        ]
        runs[database] = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, preexec_fn=end_with_parent
        )
    figures: dict[str, Any] = {}
    for database, process in runs.items():
        told, _ = process.communicate()
        table, _, last = told.rstrip("\n").rpartition("\n")
        print(f"{table}\n")
        figures[database] = json.loads(last)
    summed = {
        n: sum(f[n] for f in figures.values())
        for n in ("faults", "lost", "doubled", "stale_writes")
    }
    equal = all(f["equal"] for f in figures.values())
    return {
        **summed,
        "equal": equal,
        "seconds": max(f["seconds"] for f in figures.values()),
        **figures,
    }


def main() -> None:
    """Run, print the table and the figures; ends with 1 when anything was lost, doubled, stale or
    different.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--faults", type=int, default=10, help="for each database")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--database", choices=("sqlite", "postgres", "both"), default="both")
    parser.add_argument("--videos", type=int, default=24, help="of a dataset; each has three clips")
    parser.add_argument("--processes", type=int, default=2, help="of each of the two workers")
    parser.add_argument(
        "--keep", action="store_true", help="leave the folder with logs and database"
    )
    asked = parser.parse_args()
    figures = run_both(asked) if asked.database == "both" else run_one(asked)
    print(json.dumps(figures))
    sys.exit(
        0
        if figures["equal"] and not figures["lost"] + figures["doubled"] + figures["stale_writes"]
        else 1
    )


if __name__ == "__main__":
    main()
