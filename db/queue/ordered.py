"""Claims of ordered stages: one batch at a time, in order, behind the first unfinished video."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, cast

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Select,
    Update,
    case,
    func,
    literal_column,
    null,
    select,
)

from curate.configs.pipeline import Pipeline, StageStep
from curate.configs.schema import Order
from curate.db import side_tables
from curate.db.engine import reading
from curate.db.expressions import among, quoted
from curate.db.queue.leases import (
    FREE,
    ClaimRequest,
    WholeRow,
    at_stage,
    fail_worn_out,
    lease_rows,
    lease_statement,
)
from curate.db.schema import DROP, clips, stands, videos


def lease_in_order(
    connection: Connection, request: ClaimRequest, time: float, order: Order
) -> list[WholeRow]:
    """Lease the next clips of an ordered stage; return them in order.

    The caller has locked the dataset's row against other claims.
    """
    waiting = at_stage(clips, request.dataset_id, request.step.name)
    # no SKIP LOCKED: a row that a renewal has locked is leased too
    leased = select(clips.c.id).where(*waiting, clips.c.lease_until >= time).limit(1)
    if connection.execute(leased).first():
        return []
    ready = ready_in_order(connection, request.dataset_id, request.step, request.pipeline, order)
    if ready is None:
        return []
    sequence = ready.order_by(*_sort_columns(order)).with_for_update()
    head = sequence.with_only_columns(clips.c.lease_until, clips.c.claim_size).limit(1)
    while first := connection.execute(head).first():
        dead = first.lease_until > FREE  # the rows of a dead batch are tried again in halves
        size = max(1, first.claim_size // 2) if dead else request.step.options.batch_size
        alone = dead and first.claim_size <= 1
        ids = connection.execute(sequence.limit(size)).scalars().all()
        rows = lease_rows(connection, request, time, listed_statement(alone), {"ids": list(ids)})
        if not (alone and rows and fail_worn_out(connection, request, rows[0]["id"])):
            rank = {row_id: n for n, row_id in enumerate(ids)}
            return sorted(rows, key=lambda row: rank[row["id"]])
    return []


def _sort_columns(order: Order) -> list[ColumnElement[Any]]:
    columns: list[ColumnElement[Any]] = []
    for name in order.by:
        column = clips.c[name.removeprefix("-")]
        if name.startswith("-"):
            columns.append(column.desc().nulls_last())
        else:  # not for every column: NULLS LAST keeps SQLite from reading in index order
            columns.append(column.asc().nulls_last() if column.nullable else column.asc())
    unique = {"video_id", "clip_index"} <= set(order.by)
    return columns if unique else [*columns, clips.c.id]


@cache
def listed_statement(alone: bool) -> Update:
    """The UPDATE that leases the clips with the ids given."""
    return lease_statement("clip", select(clips.c.id).where(among(clips.c.id)), alone)


def ready_in_order(
    connection: Connection, dataset_id: int, step: StageStep, pipeline: Pipeline, order: Order
) -> Select[int] | None:
    """The SELECT of the clips that an ordered stage may take now, those of dead batches too.

    Returns None while the stage has to wait for everything upstream.
    """
    frontier = _first_unfinished_video(connection, dataset_id, step, pipeline)
    if frontier is not None and order.whole:
        return None
    ready = select(clips.c.id).where(*at_stage(clips, dataset_id, step.name))
    if connection.execute(ready.where(clips.c.lease_until > FREE).limit(1)).first() is None:
        ready = ready.where(clips.c.lease_until == FREE)  # lets the claim index give the order
    return ready if frontier is None else ready.where(clips.c.video_id < frontier)


def _first_unfinished_video(
    connection: Connection, dataset_id: int, step: StageStep, pipeline: Pipeline
) -> int | None:
    """The id of the first video that has a row upstream of the stage; None if no video has."""
    names = pipeline.level_stages("clip")
    busy_video = select(func.min(videos.c.id)).where(
        videos.c.dataset_id == dataset_id, stands(videos, "active")
    )
    # each is one lookup in the claim index: of the first free clip, or of the few leased ones
    busy_clips = [
        select(func.min(clips.c.video_id)).where(*at_stage(clips, dataset_id, stage), lease)
        for stage in names[: names.index(step.name)]
        for lease in (clips.c.lease_until == FREE, clips.c.lease_until > FREE)
    ]
    subqueries = [query.scalar_subquery() for query in (busy_video, *busy_clips)]
    ids = connection.execute(select(*subqueries)).one()
    return min((int(i) for i in ids if i is not None), default=None)


RECALLED = 10_000  # rows that taken_since reads at a time
RECALLED_WITH_TABLES = 2048  # the same, where each comes with rows of side tables


def taken_since(
    engine: Engine, dataset_id: int, last: int, order: Order
) -> Iterator[Sequence[Mapping[str, Any]]]:
    """The clips that an ordered stage took after number `last`, in order, some at a time.

    Each has its id, its number, and the columns that the stage recalls: NULL where the clip was
    picked to drop, since no other is a duplicate of it; and its rows of the side tables that the
    stage recalls, under the table's name. They come in parts because a million of them would not
    fit into memory.
    """
    number = clips.c[order.number]
    dropped = func.coalesce(clips.c.picked, "") == DROP
    recalled = [
        case((dropped, null()), else_=literal_column(f"clips.{quoted(name)}")).label(name)
        for name in order.recalled
    ]
    columns = (clips.c.id, number, *recalled)
    taken = select(*columns).where(clips.c.dataset_id == dataset_id, number > last)
    size = RECALLED_WITH_TABLES if order.tables else RECALLED
    with reading(engine) as connection:
        result = connection.execution_options(yield_per=size).execute(taken.order_by(number))
        for part in result.mappings().partitions():
            if not order.tables:
                yield cast(Sequence[Mapping[str, Any]], part)
                continue
            tables = side_tables.read(connection, order.tables, [row["id"] for row in part])
            yield [
                {**row, **{name: of_clip.get(row["id"], ()) for name, of_clip in tables.items()}}
                for row in part
            ]
