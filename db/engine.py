"""Engines: SQLite in WAL mode with short immediate write transactions, or Postgres."""

from __future__ import annotations

import atexit
import hashlib
import os
import sqlite3
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection, Engine, create_engine, event, make_url, select
from sqlalchemy.engine import URL
from sqlalchemy.exc import (
    ArgumentError,
    DisconnectionError,
    NoResultFound,
    NoSuchModuleError,
    SQLAlchemyError,
)
from sqlalchemy.pool import NullPool, QueuePool

from curate.configs.errors import PackageMissing, ServiceError
from curate.configs.packages import install
from curate.configs.settings import hide_password
from curate.db import unwritable
from curate.db.expressions import SQLITE_CLOCK, SQLITE_MD5, unix_time
from curate.db.home import POSTGRES_HOME, SQLITE_SHOWN, set_home, shown_path
from curate.db.unwritable import is_unwritable

BUSY_SECONDS = 30
# of libpq, where the URL does not say it: a server that is cut off is given up in half a minute,
# not in TCP's quarter of an hour
_PATIENCE = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 30_000,
}
POOL = 2  # connections kept open
PING_SECONDS = 1.0  # a connection that was unused for so long is tried before it is used
# of two processes that open a new file at once, SQLite tells one "locked", whatever the timeout
_WAL_ATTEMPTS = 51

# of a connection to Postgres, where it is not the server's default
Isolation = Literal["AUTOCOMMIT", "REPEATABLE READ"]

_engines: weakref.WeakSet[Engine] = weakref.WeakSet()


def make_engine(url: str, few_rows: bool = False, home: str = "") -> Engine:
    """An engine for a SQLAlchemy URL; nothing is opened yet. A forked process forgets its parent's
    connections.

    `few_rows`: each statement touches few rows. Postgres then reads by indexes, whatever its
    statistics say: they are of a time when all rows stood elsewhere.

    `home`: the home folder, which paths below it are relative to (curate.db.home).

    Raises ServiceError for a URL that cannot be used.
    """
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
        if backend not in ("sqlite", "postgresql"):
            raise ArgumentError(f"curate knows SQLite and PostgreSQL, not {backend}")
        sqlite = backend == "sqlite"
        engine = _sqlite(parsed, home) if sqlite else _postgres(parsed, few_rows, home)
    except (ArgumentError, NoSuchModuleError) as error:
        raise ServiceError(what=f"The database {hide_password(url)}", why=error) from None
    except ModuleNotFoundError:
        raise PackageMissing(
            what="A Postgres database", package="psycopg", install=install("psycopg")
        ) from None
    set_home(engine, home)
    _engines.add(engine)
    return engine


def _forget_in_child() -> None:
    for inherited in _engines:
        inherited.dispose(close=False)  # closing would end the parent's connections


@atexit.register
def _close_all() -> None:
    """Close what is open: the last one who closes a SQLite file puts its WAL into it."""
    for engine in _engines:
        engine.dispose()


os.register_at_fork(after_in_child=_forget_in_child)


def _postgres(url: URL, few_rows: bool, home: str) -> Engine:
    arguments = {name: value for name, value in _PATIENCE.items() if name not in url.query}
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_size=POOL,
        connect_args=arguments,
        hide_parameters=True,
    )
    event.listen(engine, "checkin", _note_use)
    event.listen(engine, "checkout", _ping_after_pause)
    if few_rows:
        event.listen(engine, "connect", _prefer_indexes)

    def tell_home(connection: Any, _record: Any) -> None:
        connection.execute(f"SELECT set_config('{POSTGRES_HOME}', %s, false)", [home.rstrip("/")])
        connection.commit()

    if home:
        event.listen(engine, "connect", tell_home)
    return engine


def _prefer_indexes(connection: Any, _record: Any) -> None:
    connection.execute("SET enable_seqscan = off")
    # a table that has to be read whole looks so costly that Postgres would compile the statement
    connection.execute("SET jit = off")
    # else Postgres plans a statement anew each time that it hopes for a better plan: indexes leave
    # it no choice
    connection.execute("SET plan_cache_mode = force_generic_plan")
    connection.commit()


def _note_use(_connection: Any, record: Any) -> None:
    record.info["used_at"] = time.monotonic()


def _ping_after_pause(connection: Any, record: Any, _proxy: Any) -> None:
    """Make sure that the server is still there; not at every use, since a batch has four in a
    row.
    """
    import psycopg

    if time.monotonic() - record.info.get("used_at", time.monotonic()) < PING_SECONDS:
        return
    try:
        connection.execute("SELECT 1")
        connection.commit()  # after a rollback psycopg forgets what it has prepared
    except psycopg.Error as error:
        raise DisconnectionError from error  # the pool then opens another one


def _sqlite(url: URL, home: str) -> Engine:
    if is_unwritable(url.database):
        return _unwritable_sqlite(url, home)
    if url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    # pooled: a connection costs 0.3 ms to open and to close, half of what a small batch needs
    arguments = {"timeout": BUSY_SECONDS, "check_same_thread": False}
    engine = create_engine(
        url, poolclass=QueuePool, pool_size=POOL, connect_args=arguments, hide_parameters=True
    )
    event.listen(engine, "connect", _sqlite_connect)
    event.listen(engine, "connect", lambda connection, _: add_functions(connection, home))
    event.listen(engine, "begin", _sqlite_begin)
    return engine


def _unwritable_sqlite(url: URL, home: str) -> Engine:
    """An engine whose every connection is new: what it sees is checked when it has been read."""
    path = str(url.database)

    def connect() -> sqlite3.Connection:
        options = {"timeout": BUSY_SECONDS, "check_same_thread": False, "isolation_level": None}
        connection = unwritable.connect(path, **options)
        add_functions(connection, home)
        return connection

    engine = create_engine(url, creator=connect, poolclass=NullPool, hide_parameters=True)
    event.listen(engine, "begin", _sqlite_begin)
    return engine


def add_functions(connection: sqlite3.Connection, home: str) -> None:
    """Give a connection to SQLite the functions that statements of ours call."""
    home = home.rstrip("/")
    connection.create_function(SQLITE_CLOCK, 0, time.time)  # SQLite's own is one of milliseconds
    connection.create_function(SQLITE_MD5, 1, _md5, deterministic=True)
    connection.create_function(
        SQLITE_SHOWN,
        1,
        lambda path: shown_path(path, home) if isinstance(path, str) else path,
        deterministic=True,
    )


def _sqlite_connect(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # BEGIN is ours: see _sqlite_begin
    cursor = connection.cursor()
    for pragma in (f"busy_timeout={BUSY_SECONDS * 1000}", "synchronous=NORMAL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    for attempts_left in reversed(range(_WAL_ATTEMPTS)):
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            break
        except sqlite3.OperationalError:
            if not attempts_left:
                raise
            time.sleep(0.1)
    cursor.close()


def _sqlite_begin(connection: Connection) -> None:
    # a deferred transaction that reads and then writes fails with "database is locked" in spite of
    # the timeout
    readonly = connection.get_execution_options().get("curate_readonly", False)
    connection.exec_driver_sql("BEGIN" if readonly else "BEGIN IMMEDIATE")


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


@contextmanager
def reading(engine: Engine, isolation: Isolation | None = None) -> Iterator[Connection]:
    """A connection for reads, which on SQLite takes no write lock and sees one moment.

    `isolation` is for Postgres: "AUTOCOMMIT" spares one or two short reads the BEGIN and ROLLBACK
    around them; with "REPEATABLE READ" all queries see the same moment, so that rows that move
    meanwhile are counted once. Raises ServiceError, also when a file that was not to change did.
    """
    options: dict[str, Any] = {"curate_readonly": True}
    if isolation and not is_sqlite(engine):
        options["isolation_level"] = isolation
    try:
        with engine.connect().execution_options(**options) as connection:
            yield connection
            raw = connection.connection.dbapi_connection
    except SQLAlchemyError as error:
        raise _as_service_error(engine, error) from error
    if isinstance(raw, unwritable.Reader) and raw.was_disturbed:
        why = "it was written to while it was read; run the command again"
        raise ServiceError(what=_name(engine), why=why)


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A connection in one write transaction: committed at the end, rolled back on an exception.

    Raises ServiceError.
    """
    try:
        with engine.begin() as connection:
            yield connection
    except SQLAlchemyError as error:
        raise _as_service_error(engine, error) from error


def _as_service_error(engine: Engine, error: SQLAlchemyError) -> ServiceError:
    """What the database driver raised, without secrets."""
    cause = " ".join(str(getattr(error, "orig", None) or error).split())
    if "readonly database" in cause and is_unwritable(engine.url.database):
        cause += "; this user may not write to it, only read it"
    return ServiceError(what=_name(engine), why=cause)


def _name(engine: Engine) -> str:
    return f"The database {hide_password(engine.url.render_as_string(hide_password=True))}"


def row_is_gone(error: ServiceError) -> bool:
    """Whether a row that had to be there was not: another process deleted it between two reads."""
    return isinstance(error.__cause__, NoResultFound)


def is_sqlite(engine: Engine | Connection) -> bool:
    """Whether the engine or connection talks to SQLite."""
    return engine.dialect.name == "sqlite"


_NOW = select(unix_time())


def now(connection: Connection) -> float:
    """Unix seconds by the clock that all workers share: the server's, or this host's for SQLite."""
    return time.time() if is_sqlite(connection) else float(connection.execute(_NOW).scalar_one())
