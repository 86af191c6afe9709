"""Claims of ordered stages: one batch at a time, in order, behind the first video that has
something upstream.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Update, func, select

from curate.configs.pipeline import Pipeline, StageStep
from curate.configs.schema import Order
from curate.db.expressions import among
from curate.db.queue.leases import FREE, Row, Want, gave_up, here, hold, holding
from curate.db.schema import clips, stands, videos


def take_ordered(connection: Connection, want: Want, time: float, order: Order) -> list[Row]:
    """Hold the next rows of an ordered stage, in order. The caller holds the dataset's row, alone."""
    place = here(clips, want.dataset_id, want.step.name)
    # not by SKIP LOCKED: a row whose lease is being renewed is at work too
    if connection.execute(
        select(clips.c.id).where(*place, clips.c.lease_until >= time).limit(1)
    ).first():
        return []
    ready = ready_in_order(connection, want.dataset_id, want.step, want.pipeline, order)
    if ready is None:
        return []
    picked = ready.order_by(*_sorted(order)).with_for_update()
    while size := _orphaned_head(connection, picked):  # again in halves, as any batch, but in order
        rows = _hold_in_order(
            connection, want, time, picked.limit(max(1, size // 2)), alone=size <= 1
        )
        if size > 1 or not rows or not gave_up(connection, want, rows[0]["id"]):
            return rows
    return _hold_in_order(connection, want, time, picked.limit(want.step.options.batch_size))


def _orphaned_head(connection: Connection, picked: Select[int]) -> int:
    """The size of the batch that died with the first row; 0 when that row is fresh or there is
    none.
    """
    head = connection.execute(
        picked.with_only_columns(clips.c.lease_until, clips.c.claim_size).limit(1)
    ).first()
    return int(head[1]) if head and head[0] > FREE else 0


def _sorted(order: Order) -> list[ColumnElement[Any]]:
    unique = {"video_id", "clip_index"} <= set(order.by)
    return [*map(_sorted_by, order.by), *([] if unique else [clips.c.id])]


def _sorted_by(column: str) -> ColumnElement[Any]:
    if column.startswith("-"):
        return clips.c[column[1:]].desc().nulls_last()
    # NULLS LAST keeps SQLite from reading in the order of an index
    return clips.c[column].asc().nulls_last() if clips.c[column].nullable else clips.c[column].asc()


def _hold_in_order(
    connection: Connection, want: Want, time: float, picked: Select[int], alone: bool = False
) -> list[Row]:
    place = {row_id: n for n, row_id in enumerate(connection.execute(picked).scalars())}
    rows = hold(connection, want, time, _holding(alone), {"ids": list(place)})
    return sorted(
        rows, key=lambda row: place[row["id"]]
    )  # as they were picked, not as they lie in the table


@cache
def _holding(alone: bool) -> Update:
    return holding("clip", select(clips.c.id).where(among(clips.c.id)), alone)


def ready_in_order(
    connection: Connection, dataset_id: int, step: StageStep, pipeline: Pipeline, order: Order
) -> Select[int] | None:
    """Selects the clips that an ordered stage may take now, or whose batch died; None: it waits for
    all upstream.
    """
    frontier = _frontier(connection, dataset_id, step, pipeline)
    if frontier is not None and order.whole:
        return None
    place = here(clips, dataset_id, step.name)
    ready = select(clips.c.id).where(*place)
    if connection.execute(ready.where(clips.c.lease_until > FREE).limit(1)).first() is None:
        ready = ready.where(clips.c.lease_until == FREE)  # then the claim index has them in order
    return ready if frontier is None else ready.where(clips.c.video_id < frontier)


def _frontier(
    connection: Connection, dataset_id: int, step: StageStep, pipeline: Pipeline
) -> int | None:
    """The first video that still has something upstream of the stage, or None."""
    names = pipeline.level_stages("clip")
    upstream = names[: names.index(step.name)]
    busy_video = select(func.min(videos.c.id)).where(
        videos.c.dataset_id == dataset_id, stands(videos, "active")
    )
    # each is one look into the claim index: at the first that is free, or at the few that are held
    busy_clips = [
        select(func.min(clips.c.video_id)).where(*here(clips, dataset_id, stage), lease)
        for stage in upstream
        for lease in (clips.c.lease_until == FREE, clips.c.lease_until > FREE)
    ]
    found = connection.execute(
        select(*[q.scalar_subquery() for q in (busy_video, *busy_clips)])
    ).one()
    return min((int(f) for f in found if f is not None), default=None)
