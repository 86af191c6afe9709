"""Faults injected into a line one after the other; what comes out is held against a calm run."""

from __future__ import annotations

import shutil
import statistics
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from curate.configs.errors import ServiceError
from tests.faults.audit import Rows, Verdict, final_rows, install, judge
from tests.faults.kinds import faults
from tests.faults.line import Line

STUCK_SECONDS = 120.0  # without a saved batch, after which the line is taken to be stuck
SUMS = ("lost", "doubled", "stale_writes", "late")


class Stuck(Exception):
    """Nothing is saved any more."""


def passed(figures: Mapping[str, Any]) -> bool:
    """Whether nothing was lost, doubled, stale or different."""
    wrong = figures["lost"] + figures["doubled"] + figures["stale_writes"]
    return bool(figures["equal"]) and not wrong


@dataclass
class Tally:
    """What became of the faults of one kind."""

    skipped: str = ""
    injected: int = 0
    seconds: list[float] = field(default_factory=list)  # until the next batch was saved
    wrong: int = 0  # datasets with a fault of this kind that were not as the undisturbed one


class Trial:
    """The faults of one line. Each kind comes equally often, in an order drawn by the line."""

    def __init__(self, line: Line, count: int) -> None:
        self._line = line
        self._faults = faults(line)
        self.tallies = {name: Tally(skipped=reason) for name, (_, reason) in self._faults.items()}
        usable = [name for name, tally in self.tallies.items() if not tally.skipped]
        self._plan = [usable[n % len(usable)] for n in range(count)]
        line.chance.shuffle(self._plan)
        self._count = count
        self.verdicts: list[Verdict] = []
        self.stuck = ""

    @property
    def injected(self) -> int:
        """Faults so far."""
        return sum(tally.injected for tally in self.tallies.values())

    def run(self) -> None:
        """The undisturbed dataset, then disturbed ones until the plan is done or the line stuck."""
        line = self._line
        calm = line.enqueue("calm")
        install(line.engine)
        for host in line.hosts:
            host.start()
        self._finish(calm, [])
        expected = final_rows(line.engine, calm, line.home)
        self._check("calm", calm, expected, [])
        while self._plan and not self.stuck:
            name = f"d{len(self.verdicts)}"
            dataset, injected = line.enqueue(name), list[str]()
            try:
                self._finish(dataset, self._plan, injected)
            except Stuck as error:
                self.stuck = str(error)
            self._check(name, dataset, expected, injected)

    def _finish(self, dataset: int, plan: list[str], injected: list[str] | None = None) -> None:
        """Inject faults from the end of the plan until the dataset is finished.

        A fault comes when a batch has been saved since the last one, and rows are held.
        """
        line, last, last_saved = self._line, -1, time.monotonic()
        pending: tuple[str, float] | None = None  # the last fault and when its cause was gone
        while True:
            line.tend()
            try:
                batch, left = line.last_batch(), line.unfinished(dataset)
                holders = line.holders(dataset)
            except ServiceError:
                time.sleep(0.1)
                continue
            if batch > last:
                last, last_saved = batch, time.monotonic()
                if pending:
                    kind, since = pending
                    self.tallies[kind].seconds.append(last_saved - since)
                    self._report(f"{kind}: {last_saved - since:.1f} s until a batch was saved")
                    pending = None
            if not left:
                return
            if time.monotonic() - last_saved > STUCK_SECONDS:
                raise Stuck(
                    f"{left} rows of dataset {dataset} wait, "
                    f"nothing was saved for {STUCK_SECONDS:g} s"
                )
            if plan and holders and not pending:
                kind = plan.pop()
                self.tallies[kind].injected += 1
                if injected is not None:
                    injected.append(kind)
                self._faults[kind][0](line, line.chance.choice(holders))
                line.tend()
                pending = (kind, time.monotonic())
                time.sleep(line.chance.uniform(0, 0.5))
            else:
                time.sleep(0.02 if plan else 0.2)

    def _check(self, name: str, dataset: int, expected: Rows, injected: list[str]) -> None:
        """Judge the dataset; the files of a good one are removed, to spare the disk."""
        line = self._line
        rows = final_rows(line.engine, dataset, line.home)
        verdict = judge(line.engine, dataset, rows, expected)
        self.verdicts.append(verdict)
        good = passed(vars(verdict) | {"equal": verdict.equal})
        for kind in set(injected):
            self.tallies[kind].wrong += not good
        self._report(
            f"dataset {name} ({len(expected)} rows): lost {verdict.lost}, "
            f"doubled {verdict.doubled}, stale {verdict.stale_writes}, late {verdict.late}, "
            + ("equal" if verdict.equal else "NOT EQUAL")
        )
        for difference in verdict.differences[:10]:
            self._report(f"    {difference}")
        if good:
            for (video,) in line.query("SELECT id FROM videos WHERE dataset_id = :d", d=dataset):
                archive = line.home / "samples" / str(video // 1000) / f"{video}.zip"
                archive.unlink(missing_ok=True)
            shutil.rmtree(line.home / "clips" / str(dataset), ignore_errors=True)

    def _report(self, message: str) -> None:
        database = "postgres" if self._line.postgres else "sqlite"
        start = f"{time.strftime('%X')} {database} {self.injected}/{self._count}"
        print(start, message, file=sys.stderr, flush=True)

    def table(self) -> str:
        """A line a kind."""
        lines = [f"{'fault':40} {'injected':>8} {'until the next batch, s':>24}  outcome"]
        for name, tally in self.tallies.items():
            took, outcome = "", ""
            if tally.seconds:
                median, most = statistics.median(tally.seconds), max(tally.seconds)
                took = f"median {median:.1f} max {most:.1f}"
            if tally.skipped:
                outcome = f"skipped: {tally.skipped}"
            elif tally.wrong:
                outcome = f"{tally.wrong} datasets differ"
            elif tally.injected:
                outcome = "as undisturbed"
            lines.append(f"{name:40} {tally.injected:8} {took:>24}  {outcome}")
        return "\n".join(lines)

    def figures(self, seconds: float) -> dict[str, Any]:
        """The figures of the last line that benchmarks/faults.py prints."""
        return {
            "faults": self.injected,
            **{name: sum(getattr(v, name) for v in self.verdicts) for name in SUMS},
            "equal": all(v.equal for v in self.verdicts) and not self.stuck,
            "datasets": len(self.verdicts),
            "restarts": self._line.restarts,
            "stuck": self.stuck,
            "seconds": round(seconds, 1),
        }
