"""`curate sql` and `curate export`: the rows, to look at and to take away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from curate.cli import options
from curate.cli.options import Columns, DatasetName, Json, Output, Sort, Where
from curate.cli.session import Opened, Session, session

if TYPE_CHECKING:
    from curate.db.export import Plan

STATUSES = ("kept", "dropped", "failed", "active")


@dataclass(frozen=True)
class Wish:
    """What to write where. `statuses`: which clips."""

    output: Path | None
    where: str = ""
    columns: str = ""
    sort: str = ""
    statuses: Sequence[str] = ("kept",)


def check_wish(wish: Wish) -> None:
    """Raise UsageError or PackageMissing when nothing can be written there: before the work, not
    after.
    """
    from curate.db.export import check_target

    check_target(wish.output)


def planned(opened: Opened, wish: Wish) -> Plan:
    """How to write the clips of a dataset. Raises UsageError or FilterError for a wrong column or
    predicate.
    """
    from curate.db.export import Selection, plan

    columns = tuple(c for c in wish.columns.split(",") if c.strip())
    selection = Selection(wish.where, columns, wish.sort, tuple(wish.statuses))
    return plan(opened.engine, opened.dataset.id, opened.pipeline, selection)


def write(here: Session, opened: Opened, wish: Wish) -> None:
    """Write the clips of a dataset and say how many. Raises UsageError, FilterError, ServiceError."""
    from curate.cli.output import Counter, counted
    from curate.db.export import export
    from curate.tasks.inputs.paths import to_path

    with Counter(here.talk, "clips written") as counter:
        written = export(opened.engine, planned(opened, wish), wish.output, to_path, counter.show)
    if wish.output:
        here.talk.say(f"{counted(written.rows, 'clip')} written to {wish.output}")
    if written.not_utf8:
        what = counted(written.not_utf8, "row")
        here.talk.warn(
            f"{what} with a path that is not UTF-8, written with %XX; curate.tasks.inputs.paths.to_path undoes it"
        )


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
    here = session(ctx)
    wish = Wish(output, where, columns, sort, _statuses(status))
    check_wish(wish)
    opened = here.open_dataset(dataset)
    write(here, opened, wish)
    _remark(here, opened)


def _statuses(asked: list[str] | None) -> Sequence[str]:
    from curate.configs.errors import UsageError

    wrong = [s for s in asked or () if s not in (*STATUSES, "all")]
    if wrong:
        raise UsageError(what=f"--status {wrong[0]}: it is one of {', '.join(STATUSES)}, all")
    return STATUSES if "all" in (asked or ()) else tuple(asked or ("kept",))


def _remark(here: Session, opened: Opened) -> None:
    from curate.cli.funnel import warn_of_refilter
    from curate.db.reports.counts import count_unfinished

    warn_of_refilter(here, opened)
    left = count_unfinished(opened.engine, opened.dataset.id)
    if left:
        here.talk.warn(
            f"{left} rows are not through yet; go on with: curate resume {opened.dataset.name}"
        )


def sql(
    ctx: typer.Context,
    statement: Annotated[
        str | None, typer.Argument(metavar="[SELECT]", help="One read-only SELECT.")
    ] = None,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    max_rows: Annotated[int, typer.Option(min=1, help="Rows to print at most.")] = 1000,
) -> None:
    """Ask the database; without a statement list its tables and columns.

    Example:
      curate sql "SELECT stage, status, count(*) FROM clips GROUP BY 1, 2"
    """
    here = session(ctx)
    if statement is None:
        _list_tables(here, as_json)
        return
    here.open_database()
    from curate.db.readonly.query import run_query

    settings = here.settings
    url = settings.readonly_database_url or settings.database
    result = run_query(url, statement, settings.sql_seconds, max_rows)
    _print_result(result.columns, result.rows, as_json, as_csv)
    if result.truncated:
        here.talk.warn(f"only the first {max_rows} rows are shown; ask for more with --max-rows")


def _print_result(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], as_json: bool, as_csv: bool
) -> None:
    import csv
    import sys

    from curate.cli.output import emit_cells, emit_json

    if as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
    elif as_json:
        emit_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        emit_cells(columns, rows)


def _list_tables(here: Session, as_json: bool) -> None:
    from curate.cli.output import emit, emit_json
    from curate.db.reports.counts import describe_tables

    tables = describe_tables(here.open_database())
    if as_json:
        emit_json([{"table": t.name, "rows": t.rows, "columns": t.columns} for t in tables])
        return
    emit(
        [{"table": t.name, "rows": t.rows, "columns": ", ".join(t.columns)} for t in tables], False
    )
    here.talk.next('curate sql "SELECT stage, status, count(*) FROM clips GROUP BY 1, 2"')


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    for command in (sql, export):
        app.command(rich_help_panel=options.ROWS)(command)
