"""The funnel of a dataset: what came into each step of its pipeline and what it kept."""

from __future__ import annotations

import sys
from typing import Any

from curate.cli.shared.database import OpenDataset
from curate.cli.shared.output import aligned, emit, formatted, percent
from curate.cli.shared.session import Session
from curate.db.reports.overview import view_dataset

_COLUMNS = (
    "step",
    "kind",
    "rows",
    "came_in",
    "kept",
    "dropped",
    "failed",
    "waiting",
    "kept_share",
    "where",
)


def funnel_rows(opened: OpenDataset) -> list[dict[str, Any]]:
    """One dict a step of the pipeline, in order: what came in, what was kept, dropped, failed,
    waits.
    """
    view = view_dataset(opened.engine, opened.dataset.id, opened.pipeline)
    return [
        {
            "step": p.step, "kind": p.kind, "rows": f"{p.level}s", "came_in": p.came_in, "kept": p.kept,
            "dropped": p.dropped, "failed": p.failed, "waiting": p.unfinished,
            "kept_share": None if p.kept_share is None else round(p.kept_share, 6), "where": p.where,
        }
        for p in view.steps
    ]  # fmt: skip


def print_funnel(opened: OpenDataset, to_stderr: bool = False, quiet: bool = False) -> None:
    """The funnel as text: on stdout, or as talk on stderr."""
    rows = funnel_rows(opened)
    for row in rows:
        row["kept_share"] = "" if row["kept_share"] is None else percent(row["kept_share"])
    names = list(_COLUMNS)
    if not to_stderr:
        emit(rows, False, names)
    elif not quiet:
        numeric = [
            n in ("came_in", "kept", "dropped", "failed", "waiting", "kept_share") for n in names
        ]
        sys.stderr.write(aligned(names, [[formatted(r[n]) for n in names] for r in rows], numeric))


def warn_of_refilter(session: Session, opened: OpenDataset) -> None:
    """Say so when changed filters have not been applied to all rows."""
    if opened.dataset.refiltering:
        name = opened.dataset.name
        session.console.warn(
            f"a refilter of {name} is under way or was interrupted: not all rows are judged by its filters yet; if "
            f"none is running, finish it with: curate refilter {name}"
        )
