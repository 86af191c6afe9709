"""Claims: a batch takes rows of a stage by one UPDATE, with a lease.

Without ORDER BY the claim index (dataset_id, stage, status, lease_until) finds rows in constant time however many are
finished; with one, a claim was measured to grow from 7 to 27 ms at a million rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Engine, Select, Update, bindparam, exists, literal_column, select

from curate.configs.schema import Level
from curate.configs.states import RUNNING
from curate.db import beside
from curate.db.engine import writing
from curate.db.expressions import among, unix_time
from curate.db.leases import FREE, Claim, Want, gave_up, here, hold, holding
from curate.db.ordered import take_ordered
from curate.db.tables import datasets, rows_of


def claim(engine: Engine, want: Want) -> Claim | None:
    """Take up to `batch_size` ready rows, or None when there are none.

    Rows of a batch that died are taken first, in halves: a row that crashes its worker is alone after
    log2(batch) tries, and fails as WorkerCrashed after `max_attempts` crashes alone.
    """
    level, order = want.step.level, want.step.spec.order(want.step.options)
    with writing(engine) as connection:
        standing = connection.execute(_standing(level, order is not None), _place(want)).first()
        if standing is None or standing.state != RUNNING:
            return None
        time = float(standing.time)
        ids = take_ordered(connection, want, time, order) if order else _take(connection, want, time, standing.dead)
        if not ids:
            return None
        rows = _load(connection, level, ids)
        if order:  # as they were picked, not as they lie in the table
            at = {row_id: place for place, row_id in enumerate(ids)}
            rows.sort(key=lambda row: at[row["id"]])
        if level == "video":
            return Claim(want, rows, {}, time)
        return Claim(want, rows, _load_videos(connection, rows), time, beside.read(connection, want.reads, ids))


@cache
def _standing(level: Level, alone: bool) -> Select[Any]:
    """The state of the dataset, held so until the transaction ends, the time, and whether rows of a dead batch wait.

    `alone`: one batch of a stage at a time.
    """
    table = rows_of(level)
    dead = exists().where(*_here(level), table.c.lease_until > FREE, table.c.lease_until < unix_time())
    columns = (datasets.c.state, unix_time().label("time"), dead.label("dead"))
    return select(*columns).where(datasets.c.id == bindparam("of_dataset")).with_for_update(read=not alone)


def _here(level: Level) -> tuple[Any, ...]:
    return here(rows_of(level), bindparam("of_dataset"), bindparam("of_stage"))


def _place(want: Want) -> dict[str, Any]:
    return {"of_dataset": want.dataset_id, "of_stage": want.step.name}


def _take(connection: Connection, want: Want, time: float, dead: bool) -> list[int]:
    while dead and (batch := _dead_batch(connection, want, time)):
        if ids := _retake(connection, want, time, *batch):
            return ids
    values = {**_place(want), "most": want.step.options.batch_size}
    return hold(connection, want, time, _fresh(want.step.level), values)


@cache
def _fresh(level: Level) -> Update:
    return holding(level, _waiting(level).where(rows_of(level).c.lease_until == FREE).limit(bindparam("most")))


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


def _retake(connection: Connection, want: Want, time: float, owner: str, size: int) -> list[int]:
    level = want.step.level
    orphans = _orphans(level).where(rows_of(level).c.owner == owner).limit(max(1, size // 2))
    taken = hold(connection, want, time, holding(level, orphans, alone=size <= 1), {**_place(want), "time": time})
    return taken if size > 1 else [i for i in taken if not gave_up(connection, want, i)]


def _load(connection: Connection, level: Level, ids: Sequence[int]) -> list[dict[str, Any]]:
    found = connection.execute(_whole(level), {"ids": ids})
    names = tuple(found.keys())
    return [dict(zip(names, row, strict=True)) for row in found.all()]


@cache
def _whole(level: Level) -> Select[Any]:
    # SELECT *: score columns are added by stages, after the tables of this program were written
    table = rows_of(level)
    order = (table.c.id,) if level == "video" else (table.c.video_id, table.c.clip_index)
    return select(literal_column("*")).select_from(table).where(among(table.c.id)).order_by(*order)


def _load_videos(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> dict[int, dict[str, Any]]:
    loaded = _load(connection, "video", sorted({row["video_id"] for row in rows}))
    return {row["id"]: row for row in loaded}
