"""`curate export`: the clips of a dataset, written to a table."""

from __future__ import annotations

from typing import Annotated, cast, get_args

import typer

from curate.cli.shared.database import open_dataset
from curate.cli.shared.exports import ExportRequest, Missing, export_clips
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
    missing: Annotated[
        str,
        typer.Option(
            "--missing",
            help="What becomes of clips whose file is missing or of another size: drop, keep, or "
            "fail, which writes nothing.",
        ),
    ] = "drop",
    check_urls: Annotated[
        bool, typer.Option("--check-urls", help="Look at files at URLs too, by a request each.")
    ] = False,
) -> None:
    """Write the clips of a dataset to a CSV or Parquet file, or as CSV to stdout.

    The file takes its name only when it is whole. The path of a clip that was not cut is that of
    its video. A clip whose file is missing or has another size than it was written with is left
    out, and counted; files are looked at where the column path is written.

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
    if missing not in get_args(Missing):
        raise UsageError(what=f"--missing {missing}: it is one of {', '.join(get_args(Missing))}")
    check_target(output, safe_cells)
    opened = open_dataset(session, dataset)
    chosen = STATUSES if "all" in statuses else statuses
    selected = (output, where, columns or (), sort or (), chosen, safe_cells)
    request = ExportRequest(*selected, missing=cast(Missing, missing), ask_stores=check_urls)
    export_clips(session, opened, request)
    warn_of_refilter(session, opened)
    left = count_unfinished(opened.engine, opened.dataset.id)
    if left:
        go_on = f"go on with: {session.command('resume', opened.name)}"
        session.console.warn(f"{left} rows are not through yet; {go_on}")
