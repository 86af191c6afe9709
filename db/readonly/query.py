"""`curate sql`: one read-only query written by a user, fenced twice.

1. `curate.db.readonly.statement` reads the statement and refuses, with a reason, whatever is not
   one query.
2. The statement runs in a process of its own, where the database itself lets it read and nothing
   else, with little memory and a time limit after which the process is killed
   (`curate.db.readonly.child`). This holds without 1.
"""

from __future__ import annotations

import base64
import json
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from curate.configs.errors import (
    CurateError,
    ReaderMissing,
    ServiceError,
    SqlFailed,
    SqlRefused,
    SqlTimeout,
)
from curate.configs.names import nearest
from curate.configs.settings import hide_password
from curate.db.readonly.child import BYTES
from curate.db.readonly.rewriting import of_dataset, with_percentiles
from curate.db.readonly.statement import check_statement
from curate.db.readonly.urls import connect_arguments

_MEMORY_BYTES = 1 << 30
_MAX_RESULT_BYTES = 256 << 20
# the engine's own limit comes first and says what happened; a process takes a while to start
_KILL_GRACE_SECONDS = 5


@dataclass(frozen=True)
class Result:
    """What a query found. Values are None, int, float, str, bytes, bool, list or dict."""

    columns: list[str]
    rows: list[list[Any]]
    truncated: bool  # there were more rows than asked for


@dataclass(frozen=True)
class Scope:
    """The dataset whose rows alone a statement sees, and the schema that the tables are in."""

    dataset_id: int
    schema: str


def run_query(
    url: str,
    statement: str,
    seconds: float,
    max_rows: int | None = None,
    scope: Scope | None = None,
    home: str = "",
) -> Result:
    """Run one SELECT on the database of a SQLAlchemy URL; at most `max_rows` rows (None: all) are
    returned. Without a scope it sees all datasets. Paths below the `home` are shown
    absolute where it is given.

    Raises SqlRefused when it is something else, SqlTimeout, SqlFailed for what the database says
    against it, ReaderMissing when no Postgres login is there that can only read, ServiceError
    without a database.
    """
    engine, _ = _database(url)
    check_statement(statement, engine)
    if scope:
        temporary = "temp" if engine == "sqlite" else "pg_temp"
        shown = temporary if home else scope.schema
        statement = of_dataset(statement, engine, (scope.schema, shown), scope.dataset_id)
    if engine == "postgres":
        statement = with_percentiles(statement)
    return run_unchecked(url, statement, seconds, max_rows, home)


def run_unchecked(
    url: str, statement: str, seconds: float, max_rows: int | None = None, home: str = ""
) -> Result:
    """`run_query` without the first of its two fences; tests prove with it that the second holds
    alone.
    """
    engine, database = _database(url)
    request = {"database": database, "statement": statement, "max_rows": max_rows}
    request |= {"home": home.rstrip("/"), "seconds": seconds, "memory_bytes": _MEMORY_BYTES}
    # the URL goes through a pipe, for everyone can read an argument list; -P: no module from the
    # working folder
    start = f"from curate.db.readonly import child, {engine}; child.main({engine}.query)"
    with (
        tempfile.TemporaryFile() as complaints,
        subprocess.Popen(  # noqa: S603
            [sys.executable, "-P", "-c", start],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
        ) as process,
    ):
        timer = threading.Timer(seconds + _KILL_GRACE_SECONDS, process.kill)
        timer.start()
        try:
            *lists, end = _answers(process, request)
            if end is None:
                code = process.wait()
                if timer.finished.is_set() or code == -signal.SIGXCPU:
                    raise SqlTimeout(seconds=seconds)
                complaints.seek(0)
                lines = complaints.read().decode(errors="replace").strip().splitlines()
                raise SqlFailed(why=f"its process ended with {lines[-1] if lines else code}")
        finally:
            timer.cancel()
            process.kill()
    if "error" in end:
        raise _error(end, url, statement, seconds)
    return Result(lists[0], lists[1:], end["truncated"])


def _database(url: str) -> tuple[str, Any]:
    """The module of this folder that asks the database, and what its `query` takes to reach it: the
    path of a SQLite file, or what psycopg takes.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ServiceError(
            what=f"The database {hide_password(url)}", why="it is not a database URL"
        ) from None
    if parsed.get_backend_name() != "sqlite":
        return "postgres", connect_arguments(parsed)
    if not parsed.database or parsed.database == ":memory:":
        raise ServiceError(what="The database", why="curate sql needs a SQLite database in a file")
    return "sqlite", parsed.database


def _answers(process: subprocess.Popen[bytes], request: dict[str, Any]) -> Iterator[Any]:
    """The list of columns, a list a row, and how it ended: a dict; None when the process died."""
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(json.dumps(request).encode())
        process.stdin.close()
    except BrokenPipeError:
        yield None
        return
    left = _MAX_RESULT_BYTES
    while line := process.stdout.readline(left):
        left -= len(line)
        if left <= 0:
            raise SqlFailed(
                why=f"the result is larger than {_MAX_RESULT_BYTES >> 20} MB; add a LIMIT"
            )
        if not line.endswith(b"\n"):  # the process died while it wrote
            break
        answer = json.loads(line, object_hook=_decoded)
        yield answer
        if isinstance(answer, dict):
            return
    yield None


def _decoded(value: dict[str, Any]) -> Any:
    return base64.b64decode(value[BYTES]) if list(value) == [BYTES] else value


def _error(end: dict[str, Any], url: str, statement: str, seconds: float) -> CurateError:
    kind, why = end["error"], end["why"]
    if kind == "timeout":
        return SqlTimeout(seconds=seconds)
    if kind == "memory":
        return SqlFailed(why=f"it needs more than {_MEMORY_BYTES >> 20} MB of memory")
    if kind == "unavailable":
        return ServiceError(what=f"The database {hide_password(url)}", why=why)
    if kind == "reader":
        return ReaderMissing(why=why)
    if kind == "unknown":
        return SqlFailed(why=why + _hint(why, statement, end["known"]))
    return SqlRefused(why=why) if kind == "refused" else SqlFailed(why=why)


def _hint(why: str, statement: str, known: Mapping[str, Sequence[str]]) -> str:
    """What is meant, perhaps, by the unknown name that an error tells of; `known` are the tables
    with their columns.
    """
    name = re.split(r"[\s.:\"]+", why.replace(" does not exist", "").rstrip('"'))[-1].lower()
    words = set(re.findall(r"\w+", statement.lower()))
    named = {table: columns for table, columns in known.items() if table in words} or known
    if "column" not in why:
        named = {"": list(known)}
    elif key := next((t for t in named if name == f"{t.removesuffix('s')}_id"), None):
        return f" (in {key} it is id)"
    near = nearest(name, {column for columns in named.values() for column in columns})
    elsewhere = [table for table, columns in sorted(known.items()) if name in columns]
    hints = [f"it is a column of {', '.join(elsewhere)}"] if elsewhere else []
    hints += [f"did you mean {' or '.join(near)}?"] if near else []
    return f" ({'; '.join(hints)})" if hints else ""
