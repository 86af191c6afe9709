"""A mark changes with each commit, and only then."""

from __future__ import annotations

from sqlalchemy import text

from curate.db.changes import change_mark
from curate.db.engine import make_engine, writing

INSERT = text(
    "INSERT INTO datasets (name, root, pipeline, created_at) VALUES (:name, '/v', '[]', 0)"
)


def test_a_mark_changes_when_this_process_or_another_writes(sqlite_url: str) -> None:
    mine, other = make_engine(sqlite_url), make_engine(sqlite_url)
    marks = [change_mark(mine)]
    assert change_mark(mine) == marks[0]
    for number, engine in enumerate((mine, other)):
        with writing(engine) as connection:
            connection.execute(INSERT, {"name": f"n{number}"})
        marks.append(change_mark(mine))
    assert len(set(marks)) == 3
    assert change_mark(mine) == marks[-1]


def test_on_postgres_a_transaction_that_was_open_is_told_when_it_ends(postgres_url: str) -> None:
    mine, other = make_engine(postgres_url), make_engine(postgres_url)
    with writing(other) as connection:
        connection.execute(INSERT, {"name": "n"})
        began = change_mark(mine)
    assert change_mark(mine) != began
