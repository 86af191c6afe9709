"""Tells whether anything was written to a database since the last look."""

from __future__ import annotations

from sqlalchemy import Engine, text

from curate.db.engine import is_sqlite, reading

_SQLITE = text("PRAGMA data_version")  # changes with each commit of another connection
_POSTGRES = text("SELECT CAST(txid_current_snapshot() AS TEXT)")  # with each of any transaction


def change_stamp(engine: Engine) -> tuple[object, ...]:
    """A value that is another one after any commit, also where nothing of ours was written.

    Stamps of one engine can be compared. Raises ServiceError.
    """
    with reading(engine, "AUTOCOMMIT") as connection:
        if not is_sqlite(connection):
            return (connection.execute(_POSTGRES).scalar_one(),)
        version = connection.execute(_SQLITE).scalar_one()
        raw = connection.connection.dbapi_connection
        # a connection does not see its own commits, and the pool may hand out another one
        return id(raw), version, getattr(raw, "total_changes", 0)
