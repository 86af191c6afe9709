"""How many rows are where: the counts that all other numbers of a dataset are made from.

`count_rows` is asked often, so it reads indexes alone: some 100 ns a row, a second or two at ten
million rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    case,
    func,
    inspect,
    literal_column,
    select,
    text,
)

from curate.configs.schema import LEVELS, Level
from curate.db.engine import now, reading
from curate.db.expressions import quoted
from curate.db.queue.leases import FREE, stages_met
from curate.db.schema import clips, rows_of, stands


@dataclass(frozen=True)
class RowCount:
    """How many rows of a level are at one stage with one status and reason.

    Of the active ones, `leased` are held by a worker, and `expired` were held by one that died or
    hangs and have not been taken again yet.
    """

    level: Level
    stage: str
    status: str
    reason: str | None
    rows: int
    leased: int = 0
    expired: int = 0


def count_rows(connection: Connection, dataset_id: int) -> list[RowCount]:
    """Count all rows of a dataset.

    The connection reads with REPEATABLE READ, or a row that moves meanwhile may count twice.
    """
    time = now(connection)
    return [count for level in LEVELS for count in _of_level(connection, dataset_id, level, time)]


def _of_level(
    connection: Connection, dataset_id: int, level: Level, time: float
) -> Iterator[RowCount]:
    table = rows_of(level)
    of_dataset = table.c.dataset_id == dataset_id
    leased = func.coalesce(func.sum(case((table.c.lease_until > time, 1), else_=0)), 0)
    for stage in stages_met(connection, table, dataset_id):
        for status in ("active", "kept"):
            at_stage = (of_dataset, table.c.stage == stage, table.c.status == status)
            rows = connection.execute(select(func.count()).where(*at_stage)).scalar_one()
            if rows:
                taken = select(func.count(), leased).where(*at_stage, table.c.lease_until > FREE)
                all_taken, still_leased = map(int, connection.execute(taken).one())
                yield RowCount(
                    level, stage, status, None, int(rows), still_leased, all_taken - still_leased
                )
    columns = (table.c.stage, table.c.status, table.c.reason)
    ended = (
        select(*columns, func.count())
        .where(of_dataset, stands(table, "dropped", "failed"))
        .group_by(*columns)
    )
    for stage, status, reason, rows in connection.execute(ended):
        yield RowCount(level, stage, status, reason, int(rows))


def count_unfinished(engine: Engine, dataset_id: int) -> int:
    """How many rows of a dataset are still active."""
    count = 0
    with reading(engine, "REPEATABLE READ") as connection:
        for table in map(rows_of, LEVELS):
            for stage in stages_met(connection, table, dataset_id):
                active = select(func.count()).where(
                    table.c.dataset_id == dataset_id,
                    table.c.stage == stage,
                    table.c.status == "active",
                )
                count += connection.execute(active).scalar_one()
    return count


@dataclass(frozen=True)
class ValueCount:
    """How many clips have these values: in all, and kept."""

    values: tuple[Any, ...]
    rows: int
    kept: int


def count_values(engine: Engine, dataset_id: int, columns: Sequence[str]) -> list[ValueCount]:
    """How many clips of a dataset have which values of some columns, in no order.

    Columns that no dataset has filled yet count as NULL.
    """
    kept = func.sum(case((clips.c.status == "kept", 1), else_=0))
    with reading(engine) as connection:
        known = {column["name"] for column in inspect(connection).get_columns(clips.name)}
        values: list[ColumnElement[Any]] = [
            literal_column(quoted(name) if name in known else "NULL").label(name)
            for name in columns
        ]
        query = select(*values, func.count(), kept).select_from(clips)
        query = query.where(clips.c.dataset_id == dataset_id).group_by(*columns)
        return [
            ValueCount(tuple(found), int(rows), int(of_them))
            for *found, rows, of_them in connection.execute(query)
        ]


@dataclass(frozen=True)
class TableInfo:
    """A table or view of the database: its columns with their types, and how many rows a table
    has.
    """

    name: str
    rows: int | None
    columns: dict[str, str]


def describe_tables(engine: Engine) -> list[TableInfo]:
    """Which tables, views and columns are there? By name."""
    tables = []
    with reading(engine) as connection:
        inspector = inspect(connection)
        views = set(inspector.get_view_names())
        for name in sorted({*inspector.get_table_names(), *views}):
            columns = {c["name"]: str(c["type"]).lower() for c in inspector.get_columns(name)}
            count = text(f"SELECT count(*) FROM {quoted(name)}")  # noqa: S608
            rows = None if name in views else int(connection.execute(count).scalar_one())
            tables.append(TableInfo(name, rows, columns))
    return tables
