"""`curate diff`: what differs between two datasets of the same sources."""

from __future__ import annotations

import csv
import sys
from collections import Counter as Numbers
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any

import typer

from curate.cli.shared.options import Json, dataset_names
from curate.cli.shared.output import Counter, emit, emit_cells, emit_json
from curate.cli.shared.session import Session
from curate.configs.errors import UsageError
from curate.db.diff import VERDICT, Difference, comparable, differences
from curate.worker.session.database import open_dataset

SHOWN = 10  # clips that the table has
NAMES = ("change", "source", "start_seconds", "end_seconds", "clip_a", "clip_b", "column", "a", "b")
_WHAT = {
    "same": "in both, alike",
    "differs": "in both, differing",
    "only_a": "in {a} only",
    "only_b": "in {b} only",
}


def diff(
    ctx: typer.Context,
    a: Annotated[str, typer.Argument(metavar="A", help="Dataset.", autocompletion=dataset_names)],
    b: Annotated[
        str, typer.Argument(metavar="B", help="Another one.", autocompletion=dataset_names)
    ],
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print CSV: a line for each clip and column.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Compare two datasets: clips in one only, differing verdicts and scores.

    Clips are matched by source and span. Compared are status, reason and all columns that both
    have, but for ids and files.

    Example:
      curate diff videos videos-2
      curate diff videos videos-2 --csv
    """
    session = Session.of(ctx)
    first, second = open_dataset(session, a), open_dataset(session, b)
    if first.dataset.id == second.dataset.id:
        raise UsageError(what=f"{a} is one dataset; name two. See all with: `curate datasets`")
    names = comparable(first.pipeline, second.pipeline)
    summary = Tally()
    with Counter(session.console, "clips compared") as counter:
        every = differences(first.engine, first.dataset.id, second.dataset.id, names)
        found = summary.counted(every, counter)
        if as_csv:
            writer = csv.writer(sys.stdout, lineterminator="\n")
            writer.writerow(NAMES)
            writer.writerows(line for one in found for line in _lines(one))
            return
        listed = [asdict(one) for one in found if as_json]  # found counts as it is read
    if as_json:
        report = {"a": a, "b": b, "clips": dict(summary.numbers), "columns": summary.columns()}
        emit_json(report | {"differences": listed})
        return
    summary.show(a, b)
    if summary.examples:
        session.next(("diff", a, b, "--csv"))


@dataclass
class Tally:
    """The differences in numbers, and some of them."""

    numbers: Numbers[str] = field(default_factory=Numbers)
    verdicts: Numbers[tuple[str, str]] = field(default_factory=Numbers)
    examples: list[Difference] = field(default_factory=list)
    _clips: Numbers[str] = field(default_factory=Numbers)
    _sums: dict[str, float] = field(default_factory=dict)
    _largest: dict[str, float] = field(default_factory=dict)

    def counted(self, every: Iterator[Difference], counter: Counter) -> Iterator[Difference]:
        """Those that are no match, counted along."""
        for number, one in enumerate(every, 1):
            self.numbers[one.change] += 1
            if number % 1000 == 0:
                counter.show(number)
            if one.change == "same":
                continue
            self._count(one)
            if len(self.examples) < SHOWN:
                self.examples.append(one)
            yield one

    def _count(self, one: Difference) -> None:
        if one.columns.keys() & set(VERDICT):
            states = [one.columns.get(name) for name in VERDICT]
            sides = [
                " ".join(str(pair[side]) for pair in states if pair and pair[side])
                for side in (0, 1)
            ]
            self.verdicts[sides[0], sides[1]] += 1
        for name, (mine, other) in one.columns.items():
            if name in VERDICT:
                continue
            self._clips[name] += 1
            if isinstance(mine, int | float) and isinstance(other, int | float):
                by = abs(mine - other)
                self._sums[name] = self._sums.get(name, 0.0) + by
                self._largest[name] = max(self._largest.get(name, 0.0), by)

    def show(self, a: str, b: str) -> None:
        """Print it, for datasets of these names."""
        what = {name: text.format(a=a, b=b) for name, text in _WHAT.items()}
        emit([{"clips": text, "number": self.numbers[n]} for n, text in what.items()], False)
        moves = [{a: x, b: y, "clips": n} for (x, y), n in self.verdicts.most_common()]
        for rows in (moves, self.columns()):
            if rows:
                print()
                emit(rows, False)
        if self.examples:
            print()
            cells = [
                [what[d.change], d.source, d.start_seconds, d.end_seconds, d.clip_a, d.clip_b]
                for d in self.examples
            ]
            emit_cells(["change", "source", "from", "to", a, b], cells, spare=("to", "from"))

    def columns(self) -> list[dict[str, Any]]:
        """The columns that differ: in how many clips, by how much on average and at most."""
        return [
            {
                "column": name,
                "clips": clips,
                "mean_change": self._sums[name] / clips if name in self._sums else None,
                "largest": self._largest.get(name),
            }
            for name, clips in self._clips.most_common()
        ]


def _lines(one: Difference) -> Iterator[list[Any]]:
    same = [one.change, one.source, one.start_seconds, one.end_seconds, one.clip_a, one.clip_b]
    for name, (mine, other) in one.columns.items() or [("", ("", ""))]:
        yield [*same, name, mine, other]
