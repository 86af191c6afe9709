"""Clips by the value of a column that a stage wrote: how many there are, and what they hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnClause, Engine, case, exists, func, literal_column, or_, select

from curate.db import side_tables
from curate.db.engine import reading
from curate.db.expressions import quoted
from curate.db.schema import clips, stands

CHUNK = 4096  # clips that are read at a time

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Group:
    """The clips of one value, as they were made by one fit; `mean` is that of another column."""

    value: int
    fit: int
    clips: int
    kept: int
    mean: float


def _named(name: str) -> ColumnClause[Any]:
    return literal_column(quoted(name))


def count_groups(engine: Engine, dataset_id: int, column: str, fit: str, mean: str) -> list[Group]:
    """The groups of a dataset's clips by a column, those of the lowest value first."""
    value, by_fit, other = (_named(name) for name in (column, fit, mean))
    kept = func.sum(case((clips.c.status == "kept", 1), else_=0))
    query = (
        select(value, by_fit, func.count(), kept, func.avg(other))
        .select_from(clips)
        .where(clips.c.dataset_id == dataset_id, value.is_not(None))
        .group_by(value, by_fit)
        .order_by(value, by_fit)
    )
    with reading(engine) as connection:
        rows = connection.execute(query).all()
    return [Group(int(v), int(f), int(n), int(k), float(m)) for v, f, n, k, m in rows]


def values_of_groups(
    engine: Engine, dataset_id: int, column: str, others: Sequence[str]
) -> Iterator[Sequence[Any]]:
    """For each clip that has a value in a column: that value, then those of other columns."""
    names = [_named(name) for name in (column, *others)]
    query = select(*names).select_from(clips)
    query = query.where(clips.c.dataset_id == dataset_id, names[0].is_not(None))
    with reading(engine) as connection:
        yield from connection.execution_options(yield_per=CHUNK).execute(query)


def embeddings_in_order(engine: Engine, dataset_id: int) -> Iterator[list[tuple[int, Rows]]]:
    """The clips of a dataset in the order (video, clip), some at a time: id and rows of
    `embeddings`.

    Of clips that were dropped, only those that were found to look like another one take part.
    Memory does not grow with the dataset.
    """
    query = (
        select(clips.c.id)
        .where(
            clips.c.dataset_id == dataset_id,
            or_(stands(clips, "kept", "active"), clips.c.semantic_duplicate == 1),
        )
        .order_by(clips.c.video_id, clips.c.clip_index)
    )
    with reading(engine) as connection:
        result = connection.execution_options(yield_per=CHUNK).execute(query)
        for ids in result.scalars().partitions():
            (by_clip,) = side_tables.read(connection, ("embeddings",), ids).values()
            yield [(clip, by_clip.get(clip, ())) for clip in ids]


def some_stand_at(engine: Engine, dataset_id: int, stages: Sequence[str]) -> bool:
    """Whether a clip that is neither failed nor dropped stands before one of the stages."""
    there = exists().where(
        clips.c.dataset_id == dataset_id,
        clips.c.stage.in_(stages),
        stands(clips, "kept", "active"),
    )
    with reading(engine) as connection:
        return bool(connection.execute(select(there)).scalar())
