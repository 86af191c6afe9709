"""Engines that can only read: a SQLite file opened read-only, or a Postgres login of a reader."""

from __future__ import annotations

import sqlite3
import time
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.pool import NullPool

from curate.configs.errors import ServiceError
from curate.db import unwritable
from curate.db.engine import BUSY_SECONDS, add_functions, make_engine
from curate.db.home import set_home
from curate.db.readonly.urls import reader_url

_STEPS = 20_000  # instructions of SQLite's virtual machine between two looks at the clock
_QUERY_CANCELED = "57014"  # how Postgres says that a statement took too long


def read_only_engine(url: str, seconds: float, home: str = "") -> Engine:
    """An engine for the database of a URL that cannot write, whatever the statement.

    A transaction may read for `seconds`; on Postgres, each of its statements may. `home` is as in
    `make_engine`.
    Raises ServiceError, and ReaderMissing where Postgres has no login that can only read.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(parsed, seconds, home)
    engine = make_engine(reader_url(url), home=home)

    def limit(connection: Any, _record: Any) -> None:
        connection.execute("SET default_transaction_read_only = on")
        connection.execute(f"SET statement_timeout = {round(1000 * seconds)}")
        connection.commit()

    event.listen(engine, "connect", limit)
    return engine


def was_stopped(error: ServiceError) -> bool:
    """Whether the error says that reading took longer than the engine allows."""
    cause = getattr(error.__cause__, "orig", None)
    return str(cause) == "interrupted" or getattr(cause, "sqlstate", None) == _QUERY_CANCELED


def _sqlite(url: URL, seconds: float, home: str) -> Engine:
    """An engine that opens the file anew for each use: it may have been replaced meanwhile."""
    path = str(url.database)

    def connect() -> sqlite3.Connection:
        options: dict[str, Any] = {
            "timeout": BUSY_SECONDS,
            "check_same_thread": False,
            "isolation_level": None,
        }
        connection: sqlite3.Connection
        if unwritable.is_unwritable(path):
            connection = unwritable.connect(path, **options)
        else:
            connection = sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True, **options)
        add_functions(connection, home)
        connection.execute("PRAGMA query_only = ON")
        return connection

    def begin(connection: Connection) -> None:
        deadline = time.monotonic() + seconds
        raw: Any = connection.connection.dbapi_connection
        raw.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
        connection.exec_driver_sql("BEGIN")

    engine = create_engine(url, creator=connect, poolclass=NullPool, hide_parameters=True)
    event.listen(engine, "begin", begin)
    set_home(engine, home)
    return engine
