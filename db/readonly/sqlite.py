"""One read-only query on a SQLite file, for `curate.db.readonly.child`.

The file is opened read-only, and SQLite asks an authorizer about each thing that the statement
would do. It may read columns and call the functions below; what is not known to be harmless is
refused.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Generator
from contextlib import closing
from typing import Any
from urllib.parse import quote

from curate.db import unwritable
from curate.db.readonly.child import StatementError
from curate.db.readonly.quantiles import add_quantiles
from curate.db.shown_paths import PATH_COLUMNS, may_show_paths, view_of_shown

# what only computes, in little time and memory; not printf, zeroblob, randomblob, load_extension
FUNCTIONS = frozenset(
    """abs avg ceil ceiling char coalesce concat concat_ws count cume_dist date datetime degrees
    dense_rank exp first_value floor glob group_concat hex ifnull iif instr json json_array
    json_array_length json_each json_extract json_group_array json_group_object json_object
    json_tree json_type json_valid julianday lag last_value lead length like ln log log10 log2
    lower ltrim max median min mod nth_value ntile nullif octet_length percent_rank pi pow power
    quantile quote radians random rank replace round row_number rtrim sign sqlite_version sqrt
    strftime string_agg substr substring sum time timediff total trim trunc typeof unicode
    unixepoch upper -> ->>""".split()  # noqa: SIM905
)
_ACTIONS = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE)
_LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: 10_000_000,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 100_000,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 1000,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 0,
}
_COLUMNS = """
SELECT t.name, c.name FROM sqlite_master AS t, pragma_table_info(t.name) AS c
WHERE t.type IN ('table', 'view') AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
"""
_STEPS = 20_000  # of SQLite's machine, between two looks at the clock


def query(path: str, statement: str, deadline: float, home: str = "") -> Generator[Any, None, None]:
    """The columns, then the rows. `deadline` is by time.monotonic(). Raises StatementError."""
    connection: sqlite3.Connection
    try:
        if unwritable.is_unwritable(path):
            connection = unwritable.connect(path, isolation_level=None)
        else:
            uri = f"file:{quote(path)}?mode=ro"
            connection = sqlite3.connect(uri, uri=True, isolation_level=None)
    except sqlite3.OperationalError as error:
        raise StatementError("unavailable", str(error)) from None
    denied: list[str] = []
    with closing(connection):
        try:
            connection.execute("PRAGMA temp_store = MEMORY")
            if home and may_show_paths(statement):
                _show_paths(connection, home)
            for pragma in ("query_only = ON", "trusted_schema = OFF"):
                connection.execute(f"PRAGMA {pragma}")
            for limit, value in _LIMITS.items():
                connection.setlimit(limit, value)
            connection.text_factory = lambda raw: raw.decode(errors="replace")
            add_quantiles(connection)
            # makes their tables, which the statement may not
            connection.execute("SELECT 1 FROM json_each('[]'), json_tree('[]')")
            connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
            connection.set_authorizer(lambda *action: _authorize(action, denied))
            cursor = connection.execute(statement)
            if cursor.description is None:
                raise StatementError("refused", "it returns no rows")
            yield [column[0] for column in cursor.description]
            yield from cursor
            if isinstance(connection, unwritable.Reader) and connection.was_disturbed:
                raise StatementError("unavailable", "it was written to while it was read")
        except sqlite3.Warning as error:  # Python 3.11's class for a second statement
            raise StatementError("refused", str(error)) from None
        except sqlite3.Error as error:
            raise _problem(connection, error, denied) from None


def _show_paths(connection: sqlite3.Connection, home: str) -> None:
    """Hide the tables with paths by views that show them absolute."""
    for name in PATH_COLUMNS:
        columns = connection.execute("SELECT name FROM pragma_table_info(?)", (name,)).fetchall()
        if columns:
            connection.execute(view_of_shown(name, "main", [row[0] for row in columns], home))


def _authorize(action: tuple[Any, ...], denied: list[str]) -> int:
    code, name = action[0], str(action[2]).lower()
    if code in _ACTIONS or (code == sqlite3.SQLITE_FUNCTION and name in FUNCTIONS):
        return sqlite3.SQLITE_OK
    is_function = code == sqlite3.SQLITE_FUNCTION
    denied.append(
        f"the function {name} is not allowed" if is_function else "it does more than read"
    )
    return sqlite3.SQLITE_DENY


def _problem(
    connection: sqlite3.Connection, error: sqlite3.Error, denied: list[str]
) -> StatementError:
    message = str(error)
    if denied:
        return StatementError("refused", denied[0])
    if message == "interrupted":
        return StatementError("timeout")
    if message.startswith("user-defined aggregate"):
        return StatementError(
            "failed", "median and quantile are of numbers, at a share from 0 to 1"
        )
    if "one statement at a time" in message:
        return StatementError("refused", "there is more than one statement")
    if message.startswith(("no such column", "no such table")):
        connection.set_authorizer(None)  # what follows is ours
        connection.set_progress_handler(None, 0)
        columns: dict[str, list[str]] = {}
        for table, column in connection.execute(_COLUMNS):
            columns.setdefault(table, []).append(column)
        return StatementError("unknown", message, columns)
    missing = "unable to open" in message or "not a database" in message
    return StatementError("unavailable" if missing else "failed", message)
