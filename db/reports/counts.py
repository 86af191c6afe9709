"""The questions that the command line asks: one function a question.

What is asked often (`tally`) reads indexes alone, some 100 ns a row, so it takes a second or two at
ten million.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Connection,
    Engine,
    Select,
    func,
    inspect,
    select,
    text,
)

from curate.configs.schema import Level
from curate.db.engine import now, reading, snapshot
from curate.db.queue.leases import stages_met
from curate.db.reports.progress import LEVELS, Cell
from curate.db.save.batch import quoted
from curate.db.schema import batches, clips, datasets, rows_of, stands, videos


def tally(engine: Engine, dataset_id: int) -> list[Cell]:
    """Where is everything? The rows of a dataset, counted by level, place, status and reason."""
    with snapshot(engine) as connection:
        time = now(connection)
        return [cell for level in LEVELS for cell in _cells(connection, dataset_id, level, time)]


def _cells(connection: Connection, dataset_id: int, level: Level, time: float) -> Iterator[Cell]:
    table = rows_of(level)
    mine = table.c.dataset_id == dataset_id
    for stage in stages_met(connection, table, dataset_id):
        for status in ("active", "kept"):
            here = select(func.count()).where(
                mine, table.c.stage == stage, table.c.status == status
            )
            if rows := connection.execute(here).scalar_one():
                held = connection.execute(here.where(table.c.lease_until > time)).scalar_one()
                yield Cell(level, stage, status, None, int(rows), int(held))
    place = (table.c.stage, table.c.status, table.c.reason)
    ended = (
        select(*place, func.count())
        .where(mine, stands(table, "dropped", "failed"))
        .group_by(*place)
    )
    for stage, status, reason, rows in connection.execute(ended):
        yield Cell(level, stage, status, reason, int(rows), 0)


def state(engine: Engine, dataset_id: int) -> str:
    """Is the dataset running, paused or cancelled?"""
    with reading(engine) as connection:
        return str(
            connection.execute(
                select(datasets.c.state).where(datasets.c.id == dataset_id)
            ).scalar_one()
        )


PASSING_SECONDS = 60.0  # that a service may be away
MISSING = (
    "PackageMissing",
    "ModelsMissing",
    "BadModel",
    "NoDevice",
)  # what does not come back by itself


def trouble(
    engine: Engine, dataset_id: int, since: float, batches_in_a_row: int = 6
) -> tuple[str, str] | None:
    """Which stage keeps failing as a whole, and why: when the last batches since `since` (unix
    seconds) all did.

    A full disk is no such trouble: work goes on by itself when there is room. What is not plainly
    missing (a package, weights) may pass too: a store that does not answer is trouble after a
    minute.
    """
    recent = (
        select(batches.c.stage, batches.c.error, batches.c.reason, batches.c.started_at)
        .where(batches.c.dataset_id == dataset_id, batches.c.started_at >= since)
        .order_by(batches.c.id.desc())
        .limit(batches_in_a_row)
    )
    with reading(engine) as connection:
        rows = connection.execute(recent).all()
    if len(rows) < batches_in_a_row or any(
        row.error is None or row.reason == "DiskFull" for row in rows
    ):
        return None
    lasted = max(row.started_at for row in rows) - min(row.started_at for row in rows)
    if lasted < PASSING_SECONDS and not all(row.reason in MISSING for row in rows):
        return None
    return str(rows[0].stage), str(rows[0].error)


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
            for place in [stage] if stage else stages_met(connection, table, dataset_id):
                kinds = select(table.c.reason, func.count(), func.min(table.c.id)).where(
                    table.c.dataset_id == dataset_id,
                    table.c.stage == place,
                    table.c.status == "failed",
                )
                for reason, rows, example in connection.execute(
                    kinds.group_by(table.c.reason)
                ).all():
                    path, message = _example(connection, level, example)
                    found.append(
                        Failure(place, level, reason or "?", int(rows), int(example), path, message)
                    )
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
        found = (
            connection.execute(query, {"id": row_id, "dataset": dataset_id})
            .mappings()
            .one_or_none()
        )
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
