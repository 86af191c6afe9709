"""`curate export`: the clips of a dataset, written to a table."""

from __future__ import annotations

from typing import Annotated

import typer

from curate.cli.shared.database import open_dataset
from curate.cli.shared.exports import ExportRequest, export_clips
from curate.cli.shared.funnel import warn_of_refilter
from curate.cli.shared.options import Columns, DatasetName, Output, Sort, Where
from curate.cli.shared.session import Session
from curate.configs.errors import UsageError
from curate.db.export import check_target
from curate.db.reports.counts import count_unfinished

STATUSES = ("kept", "dropped", "failed", "active")


def export(
    ctx: typer.Context,
    dataset: DatasetName = None,
    output: Output = None,
    where: Where = "",
    columns: Columns = None,
    sort: Sort = None,
    status: Annotated[
        list[str] | None,
        typer.Option(
            "--status", help="kept (the default), dropped, failed, active or all; repeatable."
        ),
    ] = None,
    safe_cells: Annotated[
        bool,
        typer.Option(
            "--safe-cells", help="Put ' before text that a spreadsheet takes for a formula."
        ),
    ] = False,
) -> None:
    """Write the clips of a dataset to a CSV or Parquet file, or as CSV to stdout.

    The file takes its name only when it is whole. The path of a clip that was not cut is that of
    its video.

    Example:
      curate export -o clips.parquet --where 'flow >= 0.5' --sort 'flow desc'
      curate export --columns path,start_seconds,end_seconds > spans.csv
      curate export -o for_people.csv --safe-cells
    """
    session = Session.of(ctx)
    statuses = status or ["kept"]
    wrong = [s for s in statuses if s not in (*STATUSES, "all")]
    if wrong:
        raise UsageError(what=f"--status {wrong[0]}: it is one of {', '.join(STATUSES)}, all")
    check_target(output, safe_cells)
    opened = open_dataset(session, dataset)
    chosen = STATUSES if "all" in statuses else statuses
    request = ExportRequest(output, where, columns or (), sort or (), chosen, safe_cells)
    export_clips(session, opened, request)
    warn_of_refilter(session, opened)
    left = count_unfinished(opened.engine, opened.dataset.id)
    if left:
        go_on = f"go on with: {session.command('resume', opened.name)}"
        session.console.warn(f"{left} rows are not through yet; {go_on}")
