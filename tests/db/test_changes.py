"""A stamp changes with each commit, and only then."""

from __future__ import annotations

from sqlalchemy import text

from curate.db.changes import change_stamp
from curate.db.engine import make_engine, writing

INSERT = text(
    "INSERT INTO datasets (name, root, pipeline, created_at) VALUES (:name, '/v', '[]', 0)"
)


def test_a_stamp_changes_when_this_process_or_another_writes(sqlite_url: str) -> None:
    mine, other = make_engine(sqlite_url), make_engine(sqlite_url)
    stamps = [change_stamp(mine)]
    assert change_stamp(mine) == stamps[0]
    for number, engine in enumerate((mine, other)):
        with writing(engine) as connection:
            connection.execute(INSERT, {"name": f"n{number}"})
        stamps.append(change_stamp(mine))
    assert len(set(stamps)) == 3
    assert change_stamp(mine) == stamps[-1]


def test_on_postgres_a_transaction_that_was_open_is_told_when_it_ends(postgres_url: str) -> None:
    mine, other = make_engine(postgres_url), make_engine(postgres_url)
    with writing(other) as connection:
        connection.execute(INSERT, {"name": "n"})
        began = change_stamp(mine)
    assert change_stamp(mine) != began
