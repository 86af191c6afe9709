"""Writes the clips of a dataset to a table: what `run`, `resume` and `export` share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from curate.cli.shared.database import OpenDataset
from curate.cli.shared.output import Counter, counted
from curate.cli.shared.session import Session
from curate.db.export import ExportPlan, Selection, export, plan
from curate.tasks.inputs.paths import to_path


@dataclass(frozen=True)
class ExportRequest:
    """What to write where; `statuses` are those of the clips, `safe_cells` is for spreadsheets."""

    output: Path | None
    where: str = ""
    columns: Sequence[str] = ()  # each one or several, separated by commas
    sort: Sequence[str] = ()
    statuses: Sequence[str] = ("kept",)
    safe_cells: bool = False


def plan_export(opened: OpenDataset, request: ExportRequest) -> ExportPlan:
    """How to write the clips. Raises UsageError or FilterError for a wrong column or predicate."""
    columns = tuple(c for c in ",".join(request.columns).split(",") if c.strip())
    sort = ",".join(request.sort)
    selection = Selection(request.where, columns, sort, tuple(request.statuses))
    return plan(opened.engine, opened.dataset.id, opened.pipeline, selection)


def export_clips(session: Session, opened: OpenDataset, request: ExportRequest) -> None:
    """Write the clips and say how many. Raises UsageError, FilterError, ServiceError."""
    with Counter(session.console, "clips written") as counter:
        how = plan_export(opened, request)
        target, safe = request.output, request.safe_cells
        written = export(opened.engine, how, target, to_path, counter.show, safe)
    if request.output:
        session.console.say(f"{counted(written.rows, 'clip')} written to {request.output}")
    if written.not_utf8:
        session.console.warn(
            f"{counted(written.not_utf8, 'row')} with a path that is not UTF-8, written with %XX;"
            " curate.tasks.inputs.paths.to_path undoes it"
        )
