"""The process in which a statement of `curate sql` runs; `curate.db.readonly.query` starts it and
reads its answer.

Nothing here relies on the statement having been looked at before. The engine is told to allow one
query that reads; the process has little memory, can write no file, and is killed when it takes too
long.

Request (stdin): one JSON object. Answer (stdout): JSON lines: the list of columns, one list a row,
and at the end {"truncated": …} or {"error": KIND, "why": …, "known": […]}.
"""

from __future__ import annotations

import base64
import json
import math
import resource
import sys
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any, Literal

_FILE_BYTES = (
    1 << 20
)  # not 0: opening a database in WAL mode may make the small file of its shared memory
_CPU_GRACE_SECONDS = 5

Kind = Literal["refused", "failed", "unknown", "timeout", "memory", "reader", "unavailable"]


class StatementError(Exception):
    """Why there is no result. `known` are the names that there are, when one is unknown."""

    def __init__(self, kind: Kind, why: str = "", known: Sequence[str] = ()) -> None:
        self.kind = kind
        self.known = sorted(set(known))
        super().__init__(why)


def main() -> None:
    """Read a request, run it, write the answer."""
    request = json.load(sys.stdin)
    _limit(resource.RLIMIT_AS, request["memory_bytes"])
    _limit(resource.RLIMIT_FSIZE, _FILE_BYTES)
    _limit(resource.RLIMIT_CPU, math.ceil(request["seconds"]) + _CPU_GRACE_SECONDS)
    try:
        answer(request)
    except StatementError as error:
        _write({"error": error.kind, "why": str(error), "known": error.known})
    except MemoryError:
        _write({"error": "memory", "why": "", "known": []})


def _limit(what: int, value: int) -> None:
    _, hard = resource.getrlimit(what)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(what, (value, value))


def answer(request: Mapping[str, Any]) -> None:
    """Write the columns and rows of a request. Raises StatementError."""
    deadline = time.monotonic() + request["seconds"]
    with closing(_query(request["where"], request["statement"], deadline)) as found:
        _write(next(found))
        _write({"truncated": _write_rows(found, request["max_rows"])})


def _query(where: dict[str, Any], statement: str, deadline: float) -> Generator[Any, None, None]:
    if "path" in where:
        from curate.db.readonly import sqlite as usersql_sqlite

        return usersql_sqlite.query(where["path"], statement, deadline)
    from curate.db.readonly import postgres as usersql_postgres

    return usersql_postgres.query(where, statement, deadline)


def _write_rows(found: Iterator[Any], max_rows: int | None) -> bool:
    for count, row in enumerate(found):
        if count == max_rows:
            return True
        _write(row)
    return False


def _write(value: Any) -> None:
    sys.stdout.write(json.dumps(value, default=_plain) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, bytes | memoryview):
        return {"base64": base64.b64encode(value).decode()}
    if hasattr(value, "as_integer_ratio"):  # a Decimal
        return float(value)
    return str(value)
