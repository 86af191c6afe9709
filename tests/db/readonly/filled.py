"""The database that is asked."""

from __future__ import annotations

from sqlalchemy import create_engine, text

from curate.db.readonly.login import ensure_reader


def fill(url: str) -> None:
    engine = create_engine(url)
    key = "INTEGER PRIMARY KEY" if url.startswith("sqlite") else "SERIAL PRIMARY KEY"
    with engine.begin() as connection:
        if url.startswith("sqlite"):
            connection.execute(text("PRAGMA journal_mode = WAL"))
        connection.execute(
            text(f"CREATE TABLE clips (id {key}, flow FLOAT, codec TEXT, vector {_blob(url)})")
        )
        values = {"flow": 0.5, "codec": "é%", "vector": b"\x00\xff"}
        for _ in range(30):
            connection.execute(
                text("INSERT INTO clips (flow, codec, vector) VALUES (:flow, :codec, :vector)"),
                values,
            )
        if not url.startswith("sqlite"):
            for name, kind in (("own_notify", "VOLATILE"), ("own_stable", "STABLE")):
                connection.execute(
                    text(
                        f"CREATE FUNCTION {name}() RETURNS void {kind} LANGUAGE sql "
                        "AS $$ SELECT pg_notify('a', 'b') $$"
                    )
                )
            assert ensure_reader(connection) == ""
    engine.dispose()


def _blob(url: str) -> str:
    return "BLOB" if url.startswith("sqlite") else "BYTEA"
