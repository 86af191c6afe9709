"""`curate export`: the clips of a dataset, written to a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from curate.cli.shared.database import OpenDataset, open_dataset
from curate.cli.shared.exports import ExportRequest, write
from curate.cli.shared.funnel import warn_of_refilter
from curate.cli.shared.options import Columns, DatasetName, Output, Sort, Where
from curate.cli.shared.session import Session
from curate.configs.errors import UsageError
from curate.db.export import check_target
from curate.db.reports.counts import count_unfinished

if TYPE_CHECKING:
    pass


STATUSES = ("kept", "dropped", "failed", "active")


def export(
    ctx: typer.Context,
    dataset: DatasetName = None,
    output: Output = None,
    where: Where = "",
    columns: Columns = "",
    sort: Sort = "",
    status: Annotated[
        list[str] | None,
        typer.Option(
            "--status", help="kept (the default), dropped, failed, active or all; repeatable."
        ),
    ] = None,
) -> None:
    """Write the clips of a dataset to a CSV or Parquet file, or as CSV to stdout.

    The file takes its name only when it is whole. The path of a clip that was not cut is that of
    its video.

    Example:
      curate export -o clips.parquet --where 'flow >= 0.5' --sort 'flow desc'
      curate export --columns path,start_seconds,end_seconds > spans.csv
    """
    session = Session.of(ctx)
    request = ExportRequest(output, where, columns, sort, _statuses(status))
    check_target(output)
    opened = open_dataset(session, dataset)
    write(session, opened, request)
    _remark(session, opened)


def _statuses(asked: list[str] | None) -> Sequence[str]:
    wrong = [s for s in asked or () if s not in (*STATUSES, "all")]
    if wrong:
        raise UsageError(what=f"--status {wrong[0]}: it is one of {', '.join(STATUSES)}, all")
    return STATUSES if "all" in (asked or ()) else tuple(asked or ("kept",))


def _remark(session: Session, opened: OpenDataset) -> None:
    warn_of_refilter(session, opened)
    left = count_unfinished(opened.engine, opened.dataset.id)
    if left:
        session.console.warn(
            f"{left} rows are not through yet; go on with: curate resume {opened.dataset.name}"
        )
