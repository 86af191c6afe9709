"""Claims: a batch takes rows of a stage by one UPDATE, with a lease.

Without ORDER BY the claim index (dataset_id, stage, status, lease_until) finds rows in constant
time however many are finished; with one, a claim was measured to grow from 7 to 27 ms at a million
rows.
"""

from __future__ import annotations

from functools import cache
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Engine, Select, Update, bindparam, exists, select

from curate.configs.errors import ServiceError
from curate.configs.schema import Level
from curate.configs.states import RUNNING
from curate.db import side_tables as beside
from curate.db.engine import POOL, plan_was_stale, writing
from curate.db.expressions import unix_time
from curate.db.queue.leases import FREE, Claim, Row, Want, gave_up, here, hold, holding, load
from curate.db.queue.ordered import take_ordered
from curate.db.schema import datasets, rows_of

_PLACE = {"video": itemgetter("id"), "clip": itemgetter("video_id", "clip_index")}


def claim(engine: Engine, want: Want) -> Claim | None:
    """Take up to `batch_size` ready rows, or None when there are none.

    Rows of a batch that died are taken first, in halves: a row that crashes its worker is alone
    after log2(batch) tries, and fails as WorkerCrashed after `max_attempts` crashes alone.
    """
    for _ in range(POOL):  # a stage has added its columns: each connection may have to learn so
        try:
            return _claim(engine, want)
        except ServiceError as error:
            if not plan_was_stale(error):
                raise
    return _claim(engine, want)


def _claim(engine: Engine, want: Want) -> Claim | None:
    level, order = want.step.level, want.step.spec.order(want.step.options)
    with writing(engine) as connection:
        standing = connection.execute(_standing(level, order is not None), _place(want)).first()
        if standing is None or standing.state != RUNNING:
            return None
        time = float(standing.time)
        rows = (
            take_ordered(connection, want, time, order)
            if order
            else _take(connection, want, time, standing.dead)
        )
        if not rows:
            return None
        if level == "video":
            return Claim(want, rows, {}, time)
        parents = load(connection, "video", sorted({row["video_id"] for row in rows}))
        tables = beside.read(connection, want.reads, [row["id"] for row in rows])
        return Claim(want, rows, {row["id"]: row for row in parents}, time, tables)


@cache
def _standing(level: Level, alone: bool) -> Select[Any]:
    """The state of the dataset, held so until the transaction ends, the time, and whether rows of a
    dead batch wait.

    `alone`: one batch of a stage at a time.
    """
    table = rows_of(level)
    dead = exists().where(
        *_here(level), table.c.lease_until > FREE, table.c.lease_until < unix_time()
    )
    columns = (datasets.c.state, unix_time().label("time"), dead.label("dead"))
    return (
        select(*columns)
        .where(datasets.c.id == bindparam("of_dataset"))
        .with_for_update(read=not alone)
    )


def _here(level: Level) -> tuple[Any, ...]:
    return here(rows_of(level), bindparam("of_dataset"), bindparam("of_stage"))


def _place(want: Want) -> dict[str, Any]:
    return {"of_dataset": want.dataset_id, "of_stage": want.step.name}


def _take(connection: Connection, want: Want, time: float, dead: bool) -> list[Row]:
    rows: list[Row] = []
    while dead and not rows and (batch := _dead_batch(connection, want, time)):
        rows = _retake(connection, want, time, *batch)
    if not rows:
        values = {**_place(want), "most": want.step.options.batch_size}
        rows = hold(connection, want, time, _fresh(want.step.level), values)
    return sorted(rows, key=_PLACE[want.step.level])


@cache
def _fresh(level: Level) -> Update:
    return holding(
        level, _waiting(level).where(rows_of(level).c.lease_until == FREE).limit(bindparam("most"))
    )


def _waiting(level: Level) -> Select[int]:
    return select(rows_of(level).c.id).where(*_here(level)).with_for_update(skip_locked=True)


def _orphans(level: Level) -> Select[int]:
    lease = rows_of(level).c.lease_until
    return _waiting(level).where(lease > FREE, lease < bindparam("time"))


def _dead_batch(connection: Connection, want: Want, time: float) -> tuple[str, int] | None:
    table = rows_of(want.step.level)
    one = _orphans(want.step.level).with_only_columns(table.c.owner, table.c.claim_size).limit(1)
    row = connection.execute(one, {**_place(want), "time": time}).first()
    return (str(row[0]), int(row[1])) if row else None


def _retake(connection: Connection, want: Want, time: float, owner: str, size: int) -> list[Row]:
    level = want.step.level
    orphans = _orphans(level).where(rows_of(level).c.owner == owner).limit(max(1, size // 2))
    rows = hold(
        connection,
        want,
        time,
        holding(level, orphans, alone=size <= 1),
        {**_place(want), "time": time},
    )
    return rows if size > 1 else [row for row in rows if not gave_up(connection, want, row["id"])]
