"""`curate sql`: one read-only SELECT, or the tables there are."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from curate.cli.shared.database import open_database
from curate.cli.shared.options import Json
from curate.cli.shared.output import emit, emit_cells, emit_json
from curate.cli.shared.session import Session
from curate.db.readonly.query import run_query
from curate.db.reports.counts import describe_tables

if TYPE_CHECKING:
    pass


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
    session = Session.of(ctx)
    if statement is None:
        _list_tables(session, as_json)
        return
    open_database(session)
    settings = session.settings
    url = settings.readonly_database_url or settings.database
    result = run_query(url, statement, settings.sql_seconds, max_rows)
    _print_result(result.columns, result.rows, as_json, as_csv)
    if result.truncated:
        session.console.warn(
            f"only the first {max_rows} rows are shown; ask for more with --max-rows"
        )


def _print_result(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], as_json: bool, as_csv: bool
) -> None:
    if as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
    elif as_json:
        emit_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        emit_cells(columns, rows)


def _list_tables(session: Session, as_json: bool) -> None:
    tables = describe_tables(open_database(session))
    if as_json:
        emit_json([{"table": t.name, "rows": t.rows, "columns": t.columns} for t in tables])
        return
    emit(
        [{"table": t.name, "rows": t.rows, "columns": ", ".join(t.columns)} for t in tables], False
    )
    session.console.next('curate sql "SELECT stage, status, count(*) FROM clips GROUP BY 1, 2"')
