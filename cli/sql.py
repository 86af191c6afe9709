"""`curate sql`: one read-only SELECT, or the tables there are."""

from __future__ import annotations

import csv
import sys
from typing import Annotated

import typer

from curate.cli.shared.database import open_database
from curate.cli.shared.options import Json
from curate.cli.shared.output import emit, emit_cells, emit_json
from curate.cli.shared.session import Session
from curate.db.reports.counts import describe_tables


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
    engine = open_database(session)
    if statement is None:
        tables = describe_tables(engine)
        if as_json:
            emit_json([{"table": t.name, "rows": t.rows, "columns": t.columns} for t in tables])
            return
        rows = [{"table": t.name, "rows": t.rows, "columns": ", ".join(t.columns)} for t in tables]
        emit(rows, False)
        session.next(("sql", "SELECT stage, status, count(*) FROM clips GROUP BY 1, 2"))
        return
    from curate.db.readonly.query import run_query  # imports sqlglot

    settings = session.settings
    url = settings.readonly_database_url or settings.database
    result = run_query(url, statement, settings.sql_seconds, max_rows)
    if as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(result.columns)
        writer.writerows(result.rows)
    elif as_json:
        emit_json([dict(zip(result.columns, row, strict=True)) for row in result.rows])
    else:
        emit_cells(result.columns, result.rows)
    if result.truncated:
        limit = f"only the first {max_rows} rows are shown"
        session.console.warn(f"{limit}; ask for more with --max-rows")
