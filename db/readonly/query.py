"""`curate sql`: one read-only query written by a user, fenced twice.

1. The statement is read here, and everything that is not one SELECT is refused with a reason.
2. It runs in a process of its own, where the database itself lets it read and nothing else, with
   little memory and a time limit after which the process is killed (`curate.db.readonly.child`).
   This holds without 1.
"""

from __future__ import annotations

import base64
import difflib
import json
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import sqlglot
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError
from sqlglot import exp
from sqlglot.errors import SqlglotError

from curate.configs.errors import (
    CurateError,
    ReaderMissing,
    ServiceError,
    SqlFailed,
    SqlRefused,
    SqlTimeout,
)
from curate.configs.settings import hide_password
from curate.db.readonly.login import connect_arguments

MAX_LENGTH = 20_000
_MEMORY_BYTES = 1 << 30
_MAX_RESULT_BYTES = 256 << 20
_KILL_GRACE_SECONDS = (
    5  # the engine's own limit comes first and says what happened; a process takes a while to start
)
_START = "from curate.db.readonly.child import main; main()"


@dataclass(frozen=True)
class Result:
    """What a query found. Values are None, int, float, str, bytes, bool, list or dict."""

    columns: list[str]
    rows: list[list[Any]]
    truncated: bool  # there were more rows than asked for


def run_query(url: str, statement: str, seconds: float, max_rows: int | None = None) -> Result:
    """Run one SELECT on the database of a SQLAlchemy URL; at most `max_rows` rows (None: all) are
    returned.

    Raises SqlRefused when it is something else, SqlTimeout, SqlFailed for what the database says
    against it, ReaderMissing when no Postgres login is there that can only read, ServiceError
    without a database.
    """
    where = _where(url)
    check_statement(statement, "sqlite" if "path" in where else "postgres")
    return run_unchecked(url, statement, seconds, max_rows)


_BEGINNINGS = ("SELECT", "WITH", "VALUES", "")  # nothing: a parenthesis or a comment


def check_statement(statement: str, dialect: str) -> None:
    """Raises SqlRefused unless a statement is one query; `dialect` is sqlglot's name of the engine."""
    if len(statement) > MAX_LENGTH:
        raise SqlRefused(
            why=f"it has {len(statement)} characters; at most {MAX_LENGTH} are allowed"
        )
    if "\x00" in statement or any(0xD800 <= ord(c) < 0xE000 for c in statement):
        raise SqlRefused(why="it holds a character that SQL cannot")
    word = re.split(r"\W", statement.lstrip(), maxsplit=1)[0].upper()
    if word not in _BEGINNINGS:
        raise SqlRefused(why=f"it is not a query but {word}")
    try:
        statements = [s for s in sqlglot.parse(statement, read=dialect) if s is not None]
    except RecursionError:
        raise SqlRefused(why="it is nested too deeply") from None
    except SqlglotError as error:
        raise SqlRefused(why=f"it cannot be read: {_problem(error)}") from None
    if len(statements) != 1:
        raise SqlRefused(
            why=f"it holds {len(statements)} statements" if statements else "it is empty"
        )
    _check_query(statements[0])


def _problem(error: SqlglotError) -> str:
    problems = getattr(error, "errors", None)
    if not problems:
        return "a quote or a comment is not closed"
    return f"{problems[0]['description'].split(':')[0].rstrip('.')}, at {problems[0]['highlight'].strip()!r}"


_WRITES = (
    exp.Insert,
    exp.Update,
    exp.Delete,
    exp.Merge,
    exp.Create,
    exp.Drop,
    exp.Alter,
    exp.Command,
)


def _check_query(tree: Any) -> None:
    inner = tree.unnest() if isinstance(tree, exp.Subquery) else tree
    if not isinstance(inner, exp.Select | exp.SetOperation | exp.Values):
        raise SqlRefused(why=f"it is not a query but {tree.key.upper()}")
    for node in tree.walk():
        if isinstance(node, _WRITES):
            raise SqlRefused(why=f"there is a {node.key.upper()} in it")
        if isinstance(node, exp.Into):
            raise SqlRefused(why="SELECT … INTO makes a table")
        if isinstance(node, exp.Lock):
            raise SqlRefused(why="FOR UPDATE and FOR SHARE lock rows")


def run_unchecked(url: str, statement: str, seconds: float, max_rows: int | None = None) -> Result:
    """`run_query` without the first of its two fences; tests prove with it that the second holds
    alone.
    """
    request = {
        "where": _where(url),
        "statement": statement,
        "seconds": seconds,
        "max_rows": max_rows,
    }
    request["memory_bytes"] = _MEMORY_BYTES
    with tempfile.TemporaryFile() as complaints, _child(complaints) as process:
        timer = threading.Timer(seconds + _KILL_GRACE_SECONDS, process.kill)
        timer.start()
        try:
            columns, rows, end = _talk(process, json.dumps(request).encode())
            if end is None:
                raise _died(process.wait(), timer.finished.is_set(), seconds, complaints)
        finally:
            timer.cancel()
            process.kill()
    if "error" in end:
        raise _error(end, url, seconds)
    return Result(columns, rows, end["truncated"])


def _child(complaints: IO[bytes]) -> subprocess.Popen[bytes]:
    # the URL goes through a pipe, for everyone can read an argument list; -P: no module from the
    # working folder
    argv = [sys.executable, "-P", "-c", _START]
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints)  # noqa: S603


def _talk(
    process: subprocess.Popen[bytes], request: bytes
) -> tuple[list[str], list[list[Any]], dict[str, Any] | None]:
    """Columns, rows, and how it ended; None when the process died."""
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(request)
        process.stdin.close()
    except BrokenPipeError:
        return [], [], None
    lists: list[list[Any]] = []
    for answer in _answers(process.stdout):
        if isinstance(answer, dict):
            return lists[0] if lists else [], lists[1:], answer
        lists.append(answer)
    return [], [], None


def _answers(stream: IO[bytes]) -> Iterator[Any]:
    left = _MAX_RESULT_BYTES
    while line := stream.readline(left):
        left -= len(line)
        if left <= 0:
            raise SqlFailed(
                why=f"the result is larger than {_MAX_RESULT_BYTES >> 20} MB; add a LIMIT"
            )
        if not line.endswith(b"\n"):
            return  # the process died while it wrote
        yield json.loads(line, object_hook=_bytes)


def _bytes(value: dict[str, Any]) -> Any:
    return base64.b64decode(value["base64"]) if list(value) == ["base64"] else value


def _where(url: str) -> dict[str, Any]:
    """How to connect: the path of a SQLite file, or what psycopg takes."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ServiceError(
            what=f"The database {hide_password(url)}", why="it is not a database URL"
        ) from None
    if parsed.get_backend_name() != "sqlite":
        return connect_arguments(parsed)
    if not parsed.database or parsed.database == ":memory:":
        raise ServiceError(what="The database", why="curate sql needs a SQLite database in a file")
    return {"path": parsed.database}


def _died(code: int, killed: bool, seconds: float, complaints: IO[bytes]) -> CurateError:
    if killed or code == -signal.SIGXCPU:
        return SqlTimeout(seconds=seconds)
    complaints.seek(0)
    lines = complaints.read().decode(errors="replace").strip().splitlines()
    return SqlFailed(why=f"its process ended with {lines[-1] if lines else code}")


def _error(end: dict[str, Any], url: str, seconds: float) -> CurateError:
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
        return SqlFailed(why=why + _nearest(why, end["known"]))
    return SqlRefused(why=why) if kind == "refused" else SqlFailed(why=why)


def _nearest(why: str, known: list[str]) -> str:
    """A question after a message about an unknown name, when there are names like it."""
    name = re.split(r"[\s.:\"]+", why.replace(" does not exist", "").rstrip('"'))[-1]
    near = difflib.get_close_matches(name.lower(), known, 3, 0.5)
    return f" (did you mean {' or '.join(near)}?)" if near else ""
