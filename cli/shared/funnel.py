"""The funnel of a dataset: what came into each step of its pipeline and what it kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from curate.cli.shared.output import emit
from curate.cli.shared.session import Session
from curate.configs.pipeline import assignment
from curate.configs.shown import percent
from curate.db.reports.funnel import funnel_rows as rows_of_funnel
from curate.db.reports.overview import view_dataset
from curate.worker.session.database import OpenDataset

COLUMNS = [
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
]
OF_COUNTS = {  # what became of what is no row of its own
    "frames": "dropped: in no clip; failed: not decoded",
    "scenes": "dropped: too short for a clip",
}
SPARE = ("kind", "rows", "kept_share", "waiting", "came_in")


def funnel_rows(opened: OpenDataset) -> list[dict[str, Any]]:
    """A dict for each step of the pipeline, see `curate.db.reports.funnel.funnel_rows`."""
    return rows_of_funnel(opened.engine, opened.dataset.id, opened.pipeline)


def print_funnel(opened: OpenDataset, to_stderr: bool = False, quiet: bool = False) -> None:
    """Print the funnel as text: on stdout, or as a remark on stderr."""
    rows = funnel_rows(opened)
    for row in rows:
        row["kept_share"] = "" if row["kept_share"] is None else percent(row["kept_share"])
        if row["kind"] == "count":
            row["where"] = OF_COUNTS[row["step"]]
    if not (to_stderr and quiet):
        emit(rows, False, COLUMNS, SPARE, to_stderr)


def refilter_words(opened: OpenDataset) -> Sequence[str]:
    """The command line, behind `curate`, that sets the filter that dropped most to what it is; it
    is there to be edited.
    """
    steps = view_dataset(opened.engine, opened.dataset.id, opened.pipeline).steps
    filters = [step for step in steps if step.kind == "filter"]
    if not filters:
        return ("config", opened.name, "--yaml")
    most = max(filters, key=lambda step: step.dropped)
    return ("refilter", opened.name, "--set", assignment(most.step, "where", most.where))


def warn_of_refilter(session: Session, opened: OpenDataset) -> None:
    """Warn when changed filters have not been applied to all rows."""
    if opened.dataset.refiltering:
        session.console.warn(
            f"a refilter of {opened.name} is under way or was interrupted: not all rows are judged"
            " by its filters yet; if none is running, finish it with:"
            f" {session.command('refilter', opened.name)}"
        )
