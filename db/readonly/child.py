"""The process in which a statement of `curate sql` runs: the second fence.

`curate.db.readonly.query` starts it with the `query` of one engine's module and reads its answer.

Nothing here relies on a look at the statement before. The engine is told to allow one query that
reads; the process has little memory, can write no large file, and is killed when it takes too long.

Request (stdin): one JSON object. Answer (stdout): JSON lines: the list of columns, one list a row,
and at the end {"truncated": …} or {"error": KIND, "why": …, "known": {TABLE: COLUMNS}}.
"""

from __future__ import annotations

import base64
import decimal
import json
import math
import resource
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from typing import Any, Literal

# not 0: opening a database in WAL mode may make the small file of its shared memory
_FILE_BYTES = 1 << 20
_CPU_GRACE_SECONDS = 5

BYTES = "curate's bytes as base64"  # the key that marks them, which no row's JSON has

FailureKind = Literal["refused", "failed", "unknown", "timeout", "memory", "reader", "unavailable"]


class StatementError(Exception):
    """Why there is no result. `known` are the tables that there are with their columns, when a
    name is unknown.
    """

    def __init__(
        self, kind: FailureKind, why: str = "", known: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        self.kind = kind
        self.known = dict(known or {})
        super().__init__(why)


# what an engine's module offers: the columns, then the rows, of a statement on a database
Query = Callable[[Any, str, float, str], Generator[Any, None, None]]


def main(query: Query) -> None:
    """Read a request, run it by the `query` of an engine's module, write the answer."""
    request = json.load(sys.stdin)
    limits = {
        resource.RLIMIT_AS: request["memory_bytes"],
        resource.RLIMIT_FSIZE: _FILE_BYTES,
        resource.RLIMIT_CPU: math.ceil(request["seconds"]) + _CPU_GRACE_SECONDS,
    }
    for what, value in limits.items():
        _, hard = resource.getrlimit(what)
        allowed = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(what, (allowed, allowed))
    try:
        answer(query, request)
    except StatementError as error:
        _write({"error": error.kind, "why": str(error), "known": error.known})
    except MemoryError:
        _write({"error": "memory", "why": "", "known": {}})


def answer(query: Query, request: Mapping[str, Any]) -> None:
    """Write the columns and rows of a request, and whether there are more rows.

    Raises StatementError.
    """
    deadline = time.monotonic() + request["seconds"]
    asked = (request["database"], request["statement"], deadline, request["home"])
    with closing(query(*asked)) as answers:
        _write(next(answers))
        truncated = False
        for count, row in enumerate(answers):
            truncated = count == request["max_rows"]
            if truncated:
                break
            _write(row)
        _write({"truncated": truncated})


def _write(value: Any) -> None:
    sys.stdout.write(json.dumps(value, default=_as_json) + "\n")


def _as_json(value: Any) -> Any:
    if isinstance(value, bytes | memoryview):
        return {BYTES: base64.b64encode(value).decode()}
    if isinstance(value, decimal.Decimal):  # of integers, too, what Postgres sums up
        whole = value.is_finite() and value.as_tuple().exponent == 0
        return int(value) if whole else float(value)
    return str(value)
