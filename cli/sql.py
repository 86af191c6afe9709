"""`curate sql`: one read-only SELECT, or the tables there are."""

from __future__ import annotations

import csv
import itertools
import sys
from typing import Annotated

import typer
from sqlalchemy import Engine, inspect

from curate.cli.shared.options import Json, dataset_names
from curate.cli.shared.output import emit, emit_cells, emit_json
from curate.cli.shared.session import Session
from curate.configs.errors import UsageError
from curate.db.datasets import pick
from curate.db.engine import is_sqlite
from curate.db.reports.counts import describe_tables
from curate.tasks.storage.locations import home_text
from curate.worker.session.database import open_database


def sql(
    ctx: typer.Context,
    statement: Annotated[
        str | None, typer.Argument(metavar="[SELECT]", help="One read-only SELECT.")
    ] = None,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    max_rows: Annotated[int, typer.Option(min=1, help="Rows to print at most.")] = 1000,
    dataset: Annotated[
        str | None,
        typer.Option(
            "--dataset", help="Let the tables hold this one alone.", autocompletion=dataset_names
        ),
    ] = None,
) -> None:
    """Ask the database; without a statement list its tables and columns.

    The view clips_view has, beside the columns of clips, the name of the dataset and the source.
    On a terminal that is too narrow for a table, each column has a line.

    Example:
      curate sql "SELECT stage, status, count(*) FROM clips GROUP BY 1, 2"
      curate sql "SELECT dataset, median(flow), quantile(flow, 0.9) FROM clips_view GROUP BY 1"
      curate sql --dataset pets "SELECT * FROM clips WHERE duplicate = 1"
    """
    session = Session.of(ctx)
    engine = open_database(session)
    if statement is None:
        if dataset:
            raise UsageError(what="--dataset goes with a statement")
        _list_tables(session, engine, as_json)
        return
    from curate.db.readonly.query import Scope, run_query  # imports sqlglot

    scope = None
    if dataset:
        schema = "main" if is_sqlite(engine) else inspect(engine).default_schema_name or "public"
        scope = Scope(pick(engine, dataset).id, schema)
    settings = session.settings
    url = settings.readonly_database_url or settings.database
    home = home_text(settings)
    result = run_query(url, statement, settings.sql_seconds, max_rows, scope, home)
    if as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(result.columns)
        writer.writerows(result.rows)
    elif as_json:
        names: list[str] = []  # those that come again with a number: a, b, a_2
        for column in result.columns:
            numbered = (f"{column}_{n}" for n in itertools.count(2))
            names.append(next(c for c in itertools.chain([column], numbered) if c not in names))
        emit_json([dict(zip(names, row, strict=True)) for row in result.rows])
    else:
        emit_cells(result.columns, result.rows, may_fold=False)
        if not result.rows:
            session.console.say("no rows")
    if result.truncated:
        limit = f"only the first {max_rows} rows are shown"
        session.console.warn(f"{limit}; ask for more with --max-rows")


def _list_tables(session: Session, engine: Engine, as_json: bool) -> None:
    tables = describe_tables(engine)
    if as_json:
        emit_json([{"table": t.name, "rows": t.rows, "columns": t.columns} for t in tables])
        return
    emit(
        [{"table": t.name, "rows": t.rows, "columns": ", ".join(t.columns)} for t in tables], False
    )
    session.next(("sql", "SELECT stage, status, count(*) FROM clips GROUP BY 1, 2"))
