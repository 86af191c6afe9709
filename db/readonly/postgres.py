"""One read-only query on Postgres, for `curate.db.readonly.child`.

The login can only read (`curate.db.readonly.login`). The statement is sent after DECLARE … CURSOR
FOR, where the server's grammar has room for one query and nothing else, in a read-only transaction,
with a statement_timeout; the transaction is rolled back.

To read is not all that such a login may do: there are functions that write to the log of the
server, notify, lock, or run SQL that they are given as text. The server knows them, as volatile
ones. No such name may be in the statement, not even in a text.
"""

from __future__ import annotations

import re
import time
from collections.abc import Generator
from contextlib import closing
from typing import Any

import psycopg
from psycopg import errors

from curate.configs.errors import ReaderMissing
from curate.db.readonly.child import StatementError
from curate.db.readonly.login import connect_reader
from curate.db.shown_paths import PATH_COLUMNS, may_show_paths, view_of_shown

_FETCH = 500
_CONNECT_SECONDS = 10
_REFUSALS = (
    errors.InsufficientPrivilege,
    errors.ReadOnlySqlTransaction,
    errors.FeatureNotSupported,
)
# functions of a server that are not volatile, and yet do more than compute
_BUSY = ["txid_current", "pg_current_xact_id"]
# volatile ones that change nothing
_HARMLESS = """clock_timestamp currval gen_random_uuid lastval pg_database_size pg_indexes_size
    pg_relation_size pg_sleep pg_sleep_for pg_sleep_until pg_stat_clear_snapshot pg_table_size
    pg_tablespace_size pg_total_relation_size random random_normal setseed timeofday uuidv4
    uuidv7""".split()  # noqa: SIM905
# of other schemas, those may be called that only compute; who made them may have made any
_DOES_MORE = """
SELECT p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
JOIN pg_language l ON l.oid = p.prolang
WHERE p.proname = ANY($1) AND CASE n.nspname
    WHEN 'pg_catalog' THEN
        p.proname = ANY($2) OR p.provolatile = 'v' AND NOT p.proname = ANY($3)
    ELSE p.provolatile <> 'i' OR l.lanname NOT IN ('internal', 'c') END
LIMIT 1
"""

_COLUMNS = """
SELECT table_name::text, array_agg(column_name::text ORDER BY ordinal_position)
FROM information_schema.columns
WHERE table_schema = current_schema() GROUP BY 1
"""


def query(
    arguments: dict[str, Any], statement: str, deadline: float, home: str = ""
) -> Generator[Any, None, None]:
    """The columns, then the rows. `arguments` are those of psycopg.connect, `deadline` is by
    time.monotonic(). Raises StatementError.
    """
    try:
        connection = connect_reader(
            arguments,
            connect_timeout=_CONNECT_SECONDS,
            autocommit=True,
            cursor_factory=psycopg.RawCursor,
        )
    except psycopg.OperationalError as error:
        raise StatementError("unavailable", _first_line(error)) from None
    except ReaderMissing as error:
        raise StatementError("reader", str(error.fields["why"])) from None
    with closing(connection):  # which rolls back
        try:
            _check_functions(connection, statement)
            if home and may_show_paths(statement):
                statement = _show_paths(connection, statement, home)
            yield from _rows(connection, statement, deadline)
        except psycopg.Error as error:
            raise _problem(connection, error) from None


def _show_paths(connection: psycopg.Connection[Any], statement: str, home: str) -> str:
    """Hide the tables with paths by views that show them absolute; returns the statement to run.

    On a standby, or where the login may make no temporary view, paths are shown as they are stored.
    """
    ((schema,),) = connection.execute("SELECT current_schema()::text").fetchall()
    columns = dict(connection.execute(_COLUMNS).fetchall())
    try:
        connection.execute("BEGIN READ WRITE")
        for name in PATH_COLUMNS.keys() & columns.keys():
            connection.execute(view_of_shown(name, schema, columns[name], home).encode())
        connection.execute("COMMIT")
    except psycopg.Error:
        connection.execute("ROLLBACK")
        return statement.replace('"pg_temp".', f'"{schema}".')
    return statement


def _check_functions(connection: psycopg.Connection[Any], statement: str) -> None:
    """Raise StatementError when a function that does more than read is named anywhere in the
    statement, be it as a column or in a text.
    """
    if re.search(r"u&[\"']", statement, re.IGNORECASE):
        raise StatementError("refused", "U& can hide a name")
    words = re.findall(r"[^\W\d]\w*", statement)
    names = sorted({*words, *(word.lower() for word in words)})
    found = connection.execute(_DOES_MORE, [names, _BUSY, _HARMLESS]).fetchone()
    if found:
        raise StatementError("refused", f"the function {found[0]} is not allowed")


def _rows(
    connection: psycopg.Connection[Any], statement: str, deadline: float
) -> Generator[Any, None, None]:
    connection.execute("BEGIN READ ONLY")
    # a server process whose client was killed notices it, whatever it computes; Postgres < 14 has
    # no such setting
    connection.execute(
        "SELECT set_config(name, '1000', true) FROM pg_settings "
        "WHERE name = 'client_connection_check_interval'"
    )
    _set_timeout(connection, deadline)
    # prepared: the extended protocol, which takes one statement
    connection.execute(
        f"DECLARE curate_sql NO SCROLL CURSOR FOR {statement}".encode(), [], prepare=True
    )
    columns: list[str] | None = None
    while True:
        _set_timeout(connection, deadline)
        cursor = connection.execute(f"FETCH {_FETCH} FROM curate_sql".encode())
        if columns is None:
            columns = [column.name for column in cursor.description or ()]
            yield columns
        rows = cursor.fetchall()
        yield from rows
        if len(rows) < _FETCH:
            return


def _set_timeout(connection: psycopg.Connection[Any], deadline: float) -> None:
    left = int((deadline - time.monotonic()) * 1000)
    if left <= 0:
        raise StatementError("timeout")
    connection.execute(f"SET LOCAL statement_timeout = {left}".encode())


def _problem(connection: psycopg.Connection[Any], error: psycopg.Error) -> StatementError:
    why = _first_line(error)
    if isinstance(error, errors.QueryCanceled):
        return StatementError("timeout")
    if isinstance(error, _REFUSALS) or "multiple commands" in why:
        return StatementError("refused", why)
    if isinstance(error, errors.UndefinedColumn | errors.UndefinedTable):
        connection.execute("ROLLBACK")
        return StatementError("unknown", why, dict(connection.execute(_COLUMNS).fetchall()))
    return StatementError("failed", why)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
