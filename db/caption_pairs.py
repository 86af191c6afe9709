"""The captions that two captioners wrote of the same clips, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Engine, Select, Subquery, Text, cast, func, select

from curate.configs.schema import Column
from curate.db.engine import reading
from curate.db.expressions import random_order
from curate.db.filters.check import condition_of
from curate.db.filters.columns import columns_of
from curate.db.schema import captions, clips

CHUNK = 2000


@dataclass(frozen=True)
class PairedCaption:
    """The newest caption of a clip by one captioner: as it was cleaned, else as it was written."""

    id: int
    text: str
    match: float | None


@dataclass(frozen=True)
class CaptionPair:
    """A clip with its captions by two captioners."""

    clip: int
    a: PairedCaption
    b: PairedCaption


def captioners(engine: Engine, dataset_id: int) -> dict[str, int]:
    """Who wrote captions of a dataset's clips, each with the number of clips."""
    query = (
        select(captions.c.model, func.count(captions.c.clip_id.distinct()))
        .join_from(captions, clips, captions.c.clip_id == clips.c.id)
        .where(clips.c.dataset_id == dataset_id, captions.c.window_start_pts.is_(None))
        .group_by(captions.c.model)
        .order_by(captions.c.model)
    )
    with reading(engine) as connection:
        return {str(model): int(count) for model, count in connection.execute(query)}


@dataclass(frozen=True)
class PairQuery:
    """Which pairs are read: of clips for which the predicate `where` is true (empty: of all).

    `columns` are those that the pipeline writes to clips.
    """

    dataset_id: int
    a: str
    b: str
    where: str
    columns: Mapping[str, Column]


def pairs(
    engine: Engine, asked: PairQuery, seed: str | None = None, most: int | None = None
) -> Iterator[CaptionPair]:
    """The pairs in the order of clips, or with a `seed` in a random one; `most`: no more.

    Raises FilterError for a wrong predicate.
    """
    query = _pairs(asked, engine.dialect.name)
    if seed is None:
        query = query.order_by(clips.c.id)
    else:
        query = query.order_by(random_order(f"{seed}:", cast(clips.c.id, Text)), clips.c.id)
    with reading(engine, "REPEATABLE READ") as connection:
        rows = connection.execution_options(yield_per=CHUNK).execute(query.limit(most))
        for row in rows:
            yield CaptionPair(row[0], PairedCaption(*row[1:4]), PairedCaption(*row[4:7]))


def _pairs(asked: PairQuery, dialect: str) -> Select[Any]:
    newest_a, newest_b = _newest(asked, asked.a, "a"), _newest(asked, asked.b, "b")
    a, b = captions.alias("caption_a"), captions.alias("caption_b")
    both: list[ColumnElement[Any]] = [
        column
        for c in (a, b)
        for column in (c.c.id, func.coalesce(c.c.text, c.c.text_raw), c.c.match)
    ]
    condition = condition_of(asked.where, columns_of(clips) | dict(asked.columns), dialect)
    # by itself, since a predicate names columns of clips that captions have too
    chosen = select(clips.c.id).where(clips.c.dataset_id == asked.dataset_id, condition)
    return (
        select(clips.c.id, *both)
        .join_from(clips, newest_a, newest_a.c.clip_id == clips.c.id)
        .join(newest_b, newest_b.c.clip_id == clips.c.id)
        .join(a, a.c.id == newest_a.c.id)
        .join(b, b.c.id == newest_b.c.id)
        .where(clips.c.id.in_(chosen))
    )


def _newest(asked: PairQuery, model: str, name: str) -> Subquery:
    newest = select(captions.c.clip_id, func.max(captions.c.id).label("id"))
    theirs = (clips.c.dataset_id == asked.dataset_id, captions.c.model == model)
    return (
        newest.join_from(captions, clips, captions.c.clip_id == clips.c.id)
        .where(*theirs, captions.c.window_start_pts.is_(None))
        .group_by(captions.c.clip_id)
        .subquery(f"newest_{name}")
    )
