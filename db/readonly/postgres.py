"""One read-only query on Postgres, for `curate.db.readonly.child`.

The login can only read (`curate.db.readonly.login`), so nothing that the statement calls can do
more. The statement is sent after DECLARE … CURSOR FOR, where the server's grammar has room for one
query and nothing else, in a read-only transaction, with a statement_timeout.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any

import psycopg
from psycopg import errors

from curate.configs.errors import ReaderMissing
from curate.db.readonly.child import StatementError
from curate.db.readonly.login import connect_reader

_FETCH = 500
_CONNECT_SECONDS = 10
_REFUSALS = (
    errors.InsufficientPrivilege,
    errors.ReadOnlySqlTransaction,
    errors.FeatureNotSupported,
)


def query(arguments: dict[str, Any], statement: str, deadline: float) -> Generator[Any, None, None]:
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
    with connection:
        try:
            yield from _rows(connection, statement, deadline)
        except psycopg.Error as error:
            raise _problem(connection, error) from None


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
        kind = "table" if isinstance(error, errors.UndefinedTable) else "column"
        connection.execute("ROLLBACK")
        names = (
            f"SELECT {kind}_name FROM information_schema.columns "  # noqa: S608
            "WHERE table_schema = current_schema()"
        )
        return StatementError(
            "unknown", why, [row[0] for row in connection.execute(names.encode())]
        )
    return StatementError("failed", why)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
