"""Writes the clips of a dataset to a table: what `run`, `resume` and `export` share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from curate.cli.shared.database import OpenDataset
from curate.cli.shared.output import Counter, counted
from curate.cli.shared.session import Session
from curate.configs.pipeline import Pipeline
from curate.db.export import (
    AMISS,
    STDOUT,
    Exported,
    ExportPlan,
    FileCheck,
    Selection,
    check_selection,
    export,
    plan,
)
from curate.tasks.inputs.paths import to_path
from curate.tasks.storage.clip_files import file_states

Missing = Literal["drop", "keep", "fail"]


@dataclass(frozen=True)
class ExportRequest:
    """What to write where; `statuses` are those of the clips, `safe_cells` is for spreadsheets.

    `missing`: what becomes of clips whose file is not as it should be (see FileCheck).
    `ask_stores`: look at files at URLs too.
    """

    output: Path | None
    where: str = ""
    columns: Sequence[str] = ()  # each one or several, separated by commas
    sort: Sequence[str] = ()
    statuses: Sequence[str] = ("kept",)
    safe_cells: bool = False
    missing: Missing = "drop"
    ask_stores: bool = False

    @property
    def selection(self) -> Selection:
        """Which clips and columns, in which order."""
        columns = tuple(c for c in ",".join(self.columns).split(",") if c.strip())
        return Selection(self.where, columns, ",".join(self.sort), tuple(self.statuses))


def check_export(request: ExportRequest, pipeline: Pipeline, extras: Sequence[str]) -> None:
    """Raise UsageError or FilterError for a wrong column or predicate, before there is a dataset;
    `extras` are the columns of the input tables.
    """
    check_selection(pipeline, request.selection, extras)


def plan_export(opened: OpenDataset, request: ExportRequest) -> ExportPlan:
    """How to write the clips. Raises UsageError or FilterError for a wrong column or predicate."""
    return plan(opened.engine, opened.dataset.id, opened.pipeline, request.selection)


def export_clips(session: Session, opened: OpenDataset, request: ExportRequest) -> None:
    """Write the clips and say how many. Raises UsageError, FilterError, ServiceError."""
    with Counter(session.console, "clips written") as counter:
        how = plan_export(opened, request)
        check = FileCheck(partial(file_states, ask_stores=request.ask_stores), request.missing)
        how = replace(how, check=check)
        target, safe = request.output, request.safe_cells
        written = export(opened.engine, how, target, to_path, counter.show, safe)
    if target not in (None, STDOUT):
        session.console.say(f"{counted(written.rows, 'clip')} written to {target}")
    for line in _about_files(opened, request, written):
        session.console.warn(line)
    if written.not_utf8:
        session.console.warn(
            f"{counted(written.not_utf8, 'row')} with a path that is not UTF-8, written with %XX;"
            " curate.tasks.inputs.paths.to_path undoes it"
        )


def _about_files(opened: OpenDataset, request: ExportRequest, written: Exported) -> Iterator[str]:
    """What is to be said about the files of clips."""
    missing, resized = (written.files[state] for state in AMISS)
    if missing or resized:
        done = "written" if request.missing == "keep" else "left out"
        again = "; cut again with: `curate redo cut DATASET`" if opened.pipeline.has("cut") else ""
        yield (
            f"{counted(missing + resized, 'clip')} {done}: {missing} without a file, {resized} with"
            f" one of another size, e.g. {written.amiss}{again}"
        )
    if unasked := written.files["unasked"]:
        yield (
            f"{counted(unasked, 'clip')} at URLs: whether their files are there was not looked at;"
            " `curate export DATASET --check-urls` does, by a request each"
        )
