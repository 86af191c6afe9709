"""The questions that the command line asks: one function a question.

What is asked often (`tally`) reads the claim index alone for rows that are active or kept, so it stays
quick at ten million rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Select,
    Table,
    case,
    func,
    inspect,
    literal,
    literal_column,
    select,
    text,
)

from curate.configs.schema import Level
from curate.db.engine import now, reading
from curate.db.progress import LEVELS, Cell
from curate.db.saves import quoted
from curate.db.tables import batches, clips, rows_of, videos


def tally(engine: Engine, dataset_id: int) -> list[Cell]:
    """Where is everything? The rows of a dataset, counted by level, place, status and reason."""
    with reading(engine) as connection:
        time = now(connection)
        return [cell for level in LEVELS for cell in _cells(connection, dataset_id, level, time)]


def _cells(connection: Connection, dataset_id: int, level: Level, time: float) -> Iterator[Cell]:
    table = rows_of(level)
    held = func.sum(case((table.c.lease_until > time, 1), else_=0))
    mine = table.c.dataset_id == dataset_id
    going = select(table.c.stage, table.c.status, literal(None), func.count(), held)
    going = going.where(mine, table.c.status.in_(("active", "kept"))).group_by(table.c.stage, table.c.status)
    ended = select(table.c.stage, table.c.status, table.c.reason, func.count(), literal(0))
    ended = ended.where(mine, _ended(table))
    ended = ended.group_by(table.c.stage, table.c.status, table.c.reason)
    for query in (going, ended):
        for row in connection.execute(query):
            yield Cell(level, row[0], row[1], row[2], int(row[3]), int(row[4]))


def _ended(table: Table) -> ColumnElement[bool]:
    # literals: with bound values no engine can tell that an index over ended rows alone will do
    return table.c.status.in_([literal_column("'dropped'"), literal_column("'failed'")])


def trouble(engine: Engine, dataset_id: int, since: float, batches_in_a_row: int = 6) -> tuple[str, str] | None:
    """Which stage keeps failing as a whole, and why: when the last batches since `since` (unix seconds) all did."""
    recent = (
        select(batches.c.stage, batches.c.error)
        .where(batches.c.dataset_id == dataset_id, batches.c.started_at >= since)
        .order_by(batches.c.id.desc())
        .limit(batches_in_a_row)
    )
    with reading(engine) as connection:
        rows = [(str(stage), error) for stage, error in connection.execute(recent)]
    if len(rows) < batches_in_a_row or any(error is None for _, error in rows):
        return None
    return rows[0][0], str(rows[0][1])


@dataclass(frozen=True)
class Failure:
    """One kind of failure: a stage, an error's class, how many rows, and one of them as an example."""

    stage: str
    level: Level
    error: str
    rows: int
    example_id: int
    path: str
    message: str


def failures(engine: Engine, dataset_id: int, stage: str | None = None) -> list[Failure]:
    """What failed, and why? Most frequent first."""
    found = []
    with reading(engine) as connection:
        for level in LEVELS:
            table = rows_of(level)
            kinds = select(table.c.stage, table.c.reason, func.count(), func.min(table.c.id)).where(
                table.c.dataset_id == dataset_id, _ended(table), table.c.status == "failed"
            )
            narrowed = kinds.where(table.c.stage == stage) if stage else kinds
            for place, reason, rows, example in connection.execute(narrowed.group_by(table.c.stage, table.c.reason)):
                path, message = _example(connection, level, example)
                found.append(Failure(place, level, reason or "?", int(rows), int(example), path, message))
    return sorted(found, key=lambda f: (-f.rows, f.stage, f.error))


def _example(connection: Connection, level: Level, row_id: int) -> tuple[str, str]:
    table = rows_of(level)
    query: Select[Any] = select(videos.c.path, table.c.error)
    if level == "clip":
        query = query.join_from(clips, videos, clips.c.video_id == videos.c.id)
    path, message = connection.execute(query.where(table.c.id == row_id)).one()
    return str(path), str(message or "")


def row(engine: Engine, dataset_id: int, level: Level, row_id: int) -> dict[str, Any] | None:
    """What is known of one row? Every column that is not NULL; a clip comes with its `source`."""
    table = "videos" if level == "video" else "clips"
    query = text(f"SELECT * FROM {table} WHERE id = :id AND dataset_id = :dataset")  # noqa: S608  one of two names
    with reading(engine) as connection:
        found = connection.execute(query, {"id": row_id, "dataset": dataset_id}).mappings().one_or_none()
        if found is None:
            return None
        known = {name: value for name, value in found.items() if value is not None}
        if level == "clip":
            source = select(videos.c.path).where(videos.c.id == found["video_id"])
            known["source"] = connection.execute(source).scalar_one()
    return known


@dataclass(frozen=True)
class TableInfo:
    """A table of the database: its columns with their types, and how many rows it has."""

    name: str
    rows: int
    columns: dict[str, str]


def described_tables(engine: Engine) -> list[TableInfo]:
    """Which tables and columns are there?"""
    found = []
    with reading(engine) as connection:
        inspector = inspect(connection)
        for name in sorted(inspector.get_table_names()):
            columns = {c["name"]: str(c["type"]).lower() for c in inspector.get_columns(name)}
            count = connection.execute(text(f"SELECT count(*) FROM {quoted(name)}")).scalar_one()  # noqa: S608
            found.append(TableInfo(name, int(count), columns))
    return found
