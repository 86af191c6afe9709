"""Claims of ordered stages: one batch at a time, in order, behind the first unfinished video."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, cast

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Engine,
    Select,
    Update,
    bindparam,
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
from curate.db.expressions import among, quoted, unix_time
from curate.db.queue.leases import (
    FREE,
    ClaimRequest,
    WholeRow,
    at_bound_stage,
    at_stage,
    fail_worn_out,
    lease_rows,
    lease_statement,
)
from curate.db.schema import DROP, clips, stands, videos


@dataclass(frozen=True)
class Turn:
    """The clips that an ordered stage may take now: a statement that gives them in order, and what
    to execute it with. `dead`: those of dead batches are among them.
    """

    statement: Select[int]
    parameters: Mapping[str, Any]
    dead: bool


def lease_in_order(
    connection: Connection, request: ClaimRequest, time: float, order: Order
) -> list[WholeRow]:
    """Lease the next clips of an ordered stage; return them in order.

    The caller has locked the dataset's row against other claims.
    """
    turn = turn_of(connection, request.dataset_id, request.step, request.pipeline, order)
    while turn:
        size, alone = request.step.options.batch_size, False
        if turn.dead:  # the rows of a dead batch are tried again in halves
            head = _head_statement(turn.statement)
            first = connection.execute(head, {**turn.parameters, "most": 1}).first()
            if first and first.lease_until > FREE:
                size, alone = max(1, first.claim_size // 2), first.claim_size <= 1
        found = connection.execute(_locked(turn.statement), {**turn.parameters, "most": size})
        ids = found.scalars().all()
        if not ids:
            break
        rows = lease_rows(connection, request, time, listed_statement(alone), {"ids": list(ids)})
        if not (alone and rows and fail_worn_out(connection, request, rows[0]["id"])):
            rank = {row_id: n for n, row_id in enumerate(ids)}
            return sorted(rows, key=lambda row: rank[row["id"]])
    return []


def turn_of(
    connection: Connection, dataset_id: int, step: StageStep, pipeline: Pipeline, order: Order
) -> Turn | None:
    """What an ordered stage may take now; None while a live batch has rows of it, or while it has
    to wait for everything upstream.
    """
    names = pipeline.level_stages("clip")
    upstream = tuple(names[: names.index(step.name)])
    at = {"of_dataset": dataset_id, "of_stage": step.name}
    time, latest, *unfinished = connection.execute(_look_statement(upstream), at).one()
    frontier = min((int(video) for video in unfinished if video is not None), default=None)
    # a row that a renewal has locked is leased too
    if (latest or FREE) >= time or (frontier is not None and order.whole):
        return None
    dead = (latest or FREE) > FREE
    statement = _turn_statement(order.by, dead, frontier is not None)
    return Turn(statement, at if frontier is None else {**at, "frontier": frontier}, dead)


@cache
def _look_statement(upstream: Sequence[str]) -> Select[Any]:
    """The SELECT of the time, the end of the last lease at a stage, and the first video that has a
    row upstream: of videos, and of clips at each of the stages before.
    """
    latest = select(func.max(clips.c.lease_until)).where(*at_bound_stage("clip"))
    dataset: BindParameter[int] = bindparam("of_dataset")
    busy_video = select(func.min(videos.c.id)).where(
        videos.c.dataset_id == dataset, stands(videos, "active")
    )
    # each is one lookup in the claim index: of the first free clip, or of the few leased ones
    busy_clips = [
        select(func.min(clips.c.video_id)).where(*at_stage(clips, dataset, stage), lease)
        for stage in upstream
        for lease in (clips.c.lease_until == FREE, clips.c.lease_until > FREE)
    ]
    queries = (latest, busy_video, *busy_clips)
    return select(unix_time(), *(query.scalar_subquery() for query in queries))


@cache
def _turn_statement(by: Sequence[str], dead: bool, behind: bool) -> Select[int]:
    """The SELECT of the first clips that wait for a stage, up to `most`, in order.

    `behind`: only those of videos before `frontier`.
    """
    ready = select(clips.c.id).where(*at_bound_stage("clip"))
    if not dead:
        ready = ready.where(clips.c.lease_until == FREE)  # lets the claim index give the order
    if behind:
        ready = ready.where(clips.c.video_id < bindparam("frontier"))
    return ready.order_by(*_sort_columns(by)).limit(bindparam("most"))


@lru_cache(64)
def _locked(turn: Select[int]) -> Select[int]:
    return turn.with_for_update()


@lru_cache(64)
def _head_statement(turn: Select[int]) -> Select[Any]:
    """The SELECT of the leases of those clips; it locks them."""
    return _locked(turn).with_only_columns(clips.c.lease_until, clips.c.claim_size)


def _sort_columns(by: Sequence[str]) -> list[ColumnElement[Any]]:
    columns: list[ColumnElement[Any]] = []
    for name in by:
        column = clips.c[name.removeprefix("-")]
        if name.startswith("-"):
            columns.append(column.desc().nulls_last())
        else:  # not for every column: NULLS LAST keeps SQLite from reading in index order
            columns.append(column.asc().nulls_last() if column.nullable else column.asc())
    unique = {"video_id", "clip_index"} <= set(by)
    return columns if unique else [*columns, clips.c.id]


@cache
def listed_statement(alone: bool) -> Update:
    """The UPDATE that leases the clips with the ids given."""
    return lease_statement("clip", select(clips.c.id).where(among(clips.c.id)), alone)


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
    size = RECALLED_WITH_TABLES if order.tables else RECALLED
    with reading(engine) as connection:
        after = {"of_dataset": dataset_id, "last": last}
        result = connection.execution_options(yield_per=size).execute(
            _taken_statement(order), after
        )
        for part in result.mappings().partitions():
            if not order.tables:
                yield cast(Sequence[Mapping[str, Any]], part)
                continue
            tables = side_tables.read(connection, order.tables, [row["id"] for row in part])
            yield [
                {**row, **{name: of_clip.get(row["id"], ()) for name, of_clip in tables.items()}}
                for row in part
            ]


@cache
def _taken_statement(order: Order) -> Select[Any]:
    number = clips.c[order.number]
    dropped = func.coalesce(clips.c.picked, "") == DROP
    recalled = [
        case((dropped, null()), else_=literal_column(f"clips.{quoted(name)}")).label(name)
        for name in order.recalled
    ]
    since = (clips.c.dataset_id == bindparam("of_dataset"), number > bindparam("last"))
    return select(clips.c.id, number, *recalled).where(*since).order_by(number)
