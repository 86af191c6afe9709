"""Writes the clips of datasets to a table: what `run`, `resume` and `export` share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal

from sqlalchemy import Engine

from curate.cli.shared.output import Counter
from curate.cli.shared.session import Session
from curate.configs.shown import counted, percent
from curate.db.export import (
    AMISS,
    Exported,
    ExportPlan,
    FileCheck,
    plan_several,
    totals,
)
from curate.db.selection import Selection
from curate.export.format import TableFormat
from curate.export.formats.csv import Csv
from curate.export.registry import table_format
from curate.export.tables import STDOUT, export_table
from curate.tasks.storage.clip_files import file_states
from curate.worker.session.database import OpenDataset

Missing = Literal["drop", "keep", "fail"]


@dataclass(frozen=True)
class ExportRequest:
    """What to write where; `statuses` are those of the clips, `safe_cells` is for spreadsheets.

    `missing`: what becomes of clips whose file is not as it should be (see FileCheck).
    `ask_stores`: look at files at URLs too. `more`: the rest of the selection. `format`: another
    format than that of the output's ending.
    """

    output: Path | None
    where: str = ""
    columns: Sequence[str] = ()  # each one or several, separated by commas
    sort: Sequence[str] = ()
    statuses: Sequence[str] = ("kept",)
    safe_cells: bool = False
    missing: Missing = "drop"
    ask_stores: bool = False
    more: Selection = field(default_factory=Selection)
    format: TableFormat | None = None

    @property
    def selection(self) -> Selection:
        """Which clips and columns, in which order."""
        columns = tuple(c for c in ",".join(self.columns).split(",") if c.strip())
        return replace(
            self.more,
            where=self.where,
            columns=columns,
            sort=",".join(self.sort),
            statuses=tuple(self.statuses),
        )

    @property
    def check(self) -> FileCheck:
        """What becomes of clips whose file is not as it should be."""
        return FileCheck(partial(file_states, ask_stores=self.ask_stores), self.missing)


def plan_export(
    opened: OpenDataset,
    request: ExportRequest,
    others: Sequence[OpenDataset] = (),
    also: Sequence[str] = (),
) -> ExportPlan:
    """How to write the clips, of other datasets too. Raises UsageError or FilterError for a wrong
    column or predicate.
    """
    chosen = [(each.dataset.id, each.pipeline) for each in (opened, *others)]
    how = plan_several(opened.engine, chosen, request.selection, also)
    return replace(how, check=request.check)


def shown_with_total(
    counter: Counter, engine: Engine, plans: Sequence[ExportPlan]
) -> Callable[[int], None]:
    """What shows a number of clips with that of all, which are counted when it is first called."""
    found: list[int] = []

    def show(done: int) -> None:
        if not found:
            found.append(sum(totals(engine, plan)[0] for plan in plans))
        counter.show(done, max(found[0], done))

    return show


def tell_balance(session: Session, plan: ExportPlan) -> None:
    """Say what balancing does to the largest group."""
    balance = plan.balance
    if balance is None or not balance.counts:
        return
    before, after = balance.counts, balance.after
    largest, top = max(before, key=lambda v: before[v]), max(after, key=lambda v: after[v])
    all_before, all_after = sum(before.values()), sum(after.values())
    how = "by weight" if balance.quotas is None else f"of {counted(round(all_after), 'clip')}"
    session.console.say(
        f"balance of {len(before)} groups by {balance.column}: the largest ({largest}) has"
        f" {percent(before[largest] / all_before)} of {counted(all_before, 'clip')} before;"
        f" afterwards {top} has {percent(after[top] / (all_after or 1))} {how}"
    )


def export_clips(
    session: Session,
    opened: OpenDataset,
    request: ExportRequest,
    others: Sequence[OpenDataset] = (),
) -> None:
    """Write the clips and say how many. Raises UsageError, FilterError, ServiceError."""
    how = plan_export(opened, request, others)
    tell_balance(session, how)
    target = request.output
    to_stdout = target in (None, STDOUT)
    format = request.format or (Csv() if to_stdout else table_format(str(target)))
    with Counter(session.console, "clips written") as counter:
        report = shown_with_total(counter, opened.engine, [how])
        written = export_table(opened.engine, how, target, format, report, request.safe_cells)
    if not to_stdout:
        session.console.say(f"{counted(written.rows, 'clip')} written to {target}")
    warn_of_files(session, opened, request.missing, written)


def warn_of_files(
    session: Session, opened: OpenDataset, missing: Missing, written: Exported
) -> None:
    """Say what is to be said about the files of clips, and about paths."""
    for line in _about_files(opened, missing, written):
        session.console.warn(line)
    if written.not_utf8:
        session.console.warn(
            f"{counted(written.not_utf8, 'row')} with a path that is not UTF-8, written with %XX;"
            " curate.tasks.inputs.paths.to_path undoes it"
        )


def _about_files(opened: OpenDataset, what: Missing, written: Exported) -> Iterator[str]:
    """What is to be said about the files of clips."""
    missing, resized = (written.files[state] for state in AMISS)
    if missing or resized:
        done = "written" if what == "keep" else "left out"
        mend = "; cut them again with: `curate verify DATASET --repair`"
        again = mend if "cut" in opened.pipeline.by_name else ""
        yield (
            f"{counted(missing + resized, 'clip')} {done}: {missing} without a file, {resized} with"
            f" one of another size, e.g. {written.amiss}{again}"
        )
    if unasked := written.files["unasked"]:
        yield (
            f"{counted(unasked, 'clip')} at URLs: whether their files are there was not looked at;"
            " `curate export DATASET --check-urls` does, by a request each"
        )
