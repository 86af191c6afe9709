"""Claims: which batch holds which rows, for how long, and what happens to rows whose worker died.

A claim takes rows by one UPDATE, with a lease. Without ORDER BY the claim index
(dataset_id, stage, status, lease_until) finds rows in constant time however many are finished; with
one, a claim was measured to grow from 7 to 27 ms at a million rows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Select, Table, bindparam, func, select, text, update

from curate.configs.errors import WorkerCrashed
from curate.configs.pipeline import Pipeline, StageStep
from curate.configs.schema import Level, Order
from curate.configs.states import RUNNING
from curate.db import beside
from curate.db.engine import looking, now, reading, writing
from curate.db.tables import clips, datasets, rows_of, stands, videos

FREE = 0.0  # lease_until of a row that nobody holds
EXPIRED = 1.0  # lease_until of a row whose holder is known to be dead
FAR = 20  # leases; one that ends further ahead was taken before the clock was set back


@dataclass(frozen=True)
class Want:
    """What a worker asks for: rows of one stage of one dataset. `reads` names tables whose rows come with clips.

    `epoch`, for ordered stages: that of the dataset when the process learned the clips taken before.
    """

    dataset_id: int
    step: StageStep
    pipeline: Pipeline
    owner: str
    lease_seconds: float
    max_attempts: int
    reads: Sequence[str] = ()
    epoch: int | None = None


@dataclass(frozen=True)
class Claim:
    """Rows held by one batch. `rows` are whole rows; clips come with their `videos`, by id, and `tables`, by name.

    `claim_seconds` is what taking them took, where somebody measured it.
    """

    want: Want
    rows: Sequence[Mapping[str, Any]]
    videos: Mapping[int, Mapping[str, Any]]
    started_at: float
    tables: Mapping[str, beside.Rows] = field(default_factory=dict)
    claim_seconds: float | None = None

    @property
    def ids(self) -> list[int]:
        """The ids of the rows."""
        return [row["id"] for row in self.rows]


def claim(engine: Engine, want: Want) -> Claim | None:
    """Take up to `batch_size` ready rows, or None when there are none.

    Rows of a batch that died are taken first, in halves: a row that crashes its worker is alone after
    log2(batch) tries, and fails as WorkerCrashed after `max_attempts` crashes alone.
    """
    with writing(engine) as connection:
        time = now(connection)
        order = want.step.spec.order(want.step.options)
        if not _may_be_claimed(connection, want, alone=order is not None):
            return None
        ids = _take_ordered(connection, want, time, order) if order else _take(connection, want, time)
        if not ids:
            return None
        rows = _load(connection, want.step.level, ids)
        if order:  # as they were picked, not as they lie in the table
            at = {row_id: place for place, row_id in enumerate(ids)}
            rows.sort(key=lambda row: at[row["id"]])
        if want.step.level == "video":
            return Claim(want, rows, {}, time)
        return Claim(want, rows, _load_videos(connection, rows), time, beside.read(connection, want.reads, ids))


def _may_be_claimed(connection: Connection, want: Want, alone: bool) -> bool:
    """Whether the dataset is running, and so until the transaction ends; `alone`: one batch of a stage at a time."""
    query = select(datasets.c.state).where(datasets.c.id == want.dataset_id).with_for_update(read=not alone)
    return bool(connection.execute(query).scalar() == RUNNING)


def _take(connection: Connection, want: Want, time: float) -> list[int]:
    while dead := _dead_batch(connection, want, time):
        if ids := _retake(connection, want, time, *dead):
            return ids
    table = rows_of(want.step.level)
    fresh = _waiting(want).where(table.c.lease_until == FREE)
    return _hold(connection, want, time, fresh.limit(want.step.options.batch_size), attempts=table.c.attempts)


def _here(table: Table, dataset_id: int, stage: str) -> tuple[ColumnElement[bool], ...]:
    """What the claim index finds the rows before a stage by, those at work too."""
    return table.c.dataset_id == dataset_id, table.c.stage == stage, table.c.status == "active"


def _waiting(want: Want) -> Select[int]:
    table = rows_of(want.step.level)
    place = _here(table, want.dataset_id, want.step.name)
    return select(table.c.id).where(*place).with_for_update(skip_locked=True)


def _dead_batch(connection: Connection, want: Want, time: float) -> tuple[str, int] | None:
    table = rows_of(want.step.level)
    expired = _waiting(want).with_only_columns(table.c.owner, table.c.claim_size)
    row = connection.execute(expired.where(table.c.lease_until > FREE, table.c.lease_until < time).limit(1)).first()
    return (str(row[0]), int(row[1])) if row else None


def _retake(connection: Connection, want: Want, time: float, owner: str, size: int) -> list[int]:
    table = rows_of(want.step.level)
    orphans = _waiting(want).where(table.c.owner == owner, table.c.lease_until > FREE, table.c.lease_until < time)
    if size > 1:
        return _hold(connection, want, time, orphans.limit(size // 2), attempts=table.c.attempts)
    ids = _hold(connection, want, time, orphans.limit(1), attempts=table.c.attempts + 1)
    return [i for i in ids if not _gave_up(connection, want, i)]


def _gave_up(connection: Connection, want: Want, row_id: int) -> bool:
    table = rows_of(want.step.level)
    error = WorkerCrashed(stage=want.step.name, attempts=want.max_attempts)
    worn = update(table).where(table.c.id == row_id, table.c.attempts >= want.max_attempts)
    failed = {"status": "failed", "reason": type(error).__name__, "error": str(error), **released()}
    return connection.execute(worn.values(**failed)).rowcount > 0


def released() -> dict[str, Any]:
    """The position columns of a row that nobody holds."""
    return {"owner": None, "lease_until": FREE, "claim_size": 0, "attempts": 0}


_LET_GO = {k: v for k, v in released().items() if k != "attempts"}  # crashes before this batch still count


def _hold(
    connection: Connection, want: Want, time: float, picked: Select[int], attempts: ColumnElement[int]
) -> list[int]:
    table = rows_of(want.step.level)
    cte = picked.cte("picked")  # as a CTE the pick runs once, whatever plan Postgres chooses
    # in one UPDATE: for a row written twice in a transaction Postgres checks its foreign keys again
    size = select(func.count()).select_from(cte).scalar_subquery()
    held = (
        update(table)
        .where(table.c.id.in_(select(cte.c.id)))
        .values(owner=want.owner, lease_until=time + want.lease_seconds, claim_size=size, attempts=attempts)
        .returning(table.c.id)
    )
    return [int(row[0]) for row in connection.execute(held)]


def _take_ordered(connection: Connection, want: Want, time: float, order: Order) -> list[int]:
    # claim() holds the dataset's row: one batch of an ordered stage at a time
    here = _here(clips, want.dataset_id, want.step.name)
    # not by SKIP LOCKED: a row whose lease is being renewed is at work too
    if connection.execute(select(clips.c.id).where(*here, clips.c.lease_until >= time).limit(1)).first():
        return []
    ready = ready_in_order(connection, want.dataset_id, want.step, want.pipeline, order)
    if ready is None:
        return []
    picked = ready.order_by(*_sorted(order)).with_for_update()
    while size := _orphaned_head(connection, picked):  # again in halves, as any batch, but in order
        worn = clips.c.attempts + (1 if size <= 1 else 0)
        ids = _hold_in_order(connection, want, time, picked.limit(max(1, size // 2)), worn)
        if size > 1 or not ids or not _gave_up(connection, want, ids[0]):
            return ids
    return _hold_in_order(connection, want, time, picked.limit(want.step.options.batch_size), clips.c.attempts)


def _orphaned_head(connection: Connection, picked: Select[int]) -> int:
    """The size of the batch that died with the first row; 0 when that row is fresh or there is none."""
    head = connection.execute(picked.with_only_columns(clips.c.lease_until, clips.c.claim_size).limit(1)).first()
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
    connection: Connection, want: Want, time: float, picked: Select[int], attempts: ColumnElement[int]
) -> list[int]:
    ids = [int(row[0]) for row in connection.execute(picked)]
    _hold(connection, want, time, select(clips.c.id).where(clips.c.id.in_(ids)), attempts)
    return ids


def ready_in_order(
    connection: Connection, dataset_id: int, step: StageStep, pipeline: Pipeline, order: Order
) -> Select[int] | None:
    """Selects the clips that an ordered stage may take now; None when it has to wait for all upstream."""
    frontier = _frontier(connection, dataset_id, step, pipeline)
    ready = select(clips.c.id).where(
        clips.c.dataset_id == dataset_id, clips.c.stage == step.name, stands(clips, "active")
    )
    if frontier is None:
        return ready
    return None if order.whole else ready.where(clips.c.video_id < frontier)


def _frontier(connection: Connection, dataset_id: int, step: StageStep, pipeline: Pipeline) -> int | None:
    """The first video that still has something upstream of the stage, or None."""
    names = pipeline.level_stages("clip")
    upstream = names[: names.index(step.name)]
    busy_video = select(func.min(videos.c.id)).where(videos.c.dataset_id == dataset_id, stands(videos, "active"))
    busy_clips = [  # one query a stage: each is one look into an index
        select(func.min(clips.c.video_id)).where(
            clips.c.dataset_id == dataset_id, clips.c.stage == stage, stands(clips, "active")
        )
        for stage in upstream
    ]
    found = [connection.execute(q).scalar() for q in (busy_video, *busy_clips)]
    return min((int(f) for f in found if f is not None), default=None)


def _load(connection: Connection, level: Level, ids: Iterable[int]) -> list[dict[str, Any]]:
    # SELECT *: score columns are added by stages, after the tables of this program were written
    table = "videos" if level == "video" else "clips"
    order = "id" if level == "video" else "video_id, clip_index"
    query = text(f"SELECT * FROM {table} WHERE id IN :ids ORDER BY {order}").bindparams(  # noqa: S608
        bindparam("ids", expanding=True)
    )
    return [dict(row) for row in connection.execute(query, {"ids": list(ids)}).mappings()]


def _load_videos(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> dict[int, dict[str, Any]]:
    loaded = _load(connection, "video", sorted({row["video_id"] for row in rows}))
    return {row["id"]: row for row in loaded}


def renew(engine: Engine, claim: Claim) -> int:
    """Hold the rows of a claim for another lease; returns how many are still held."""
    table = rows_of(claim.want.step.level)
    mine = update(table).where(table.c.id.in_(claim.ids), table.c.owner == claim.want.owner)
    with writing(engine) as connection:
        until = now(connection) + claim.want.lease_seconds
        return connection.execute(mine.values(lease_until=until)).rowcount


def give_back(engine: Engine, claim: Claim, crashed: bool) -> None:
    """Let go of the rows of a claim: as if never taken, or (crashed) to be tried again in halves."""
    with writing(engine) as connection:
        give_back_in(connection, claim, crashed)


def give_back_in(connection: Connection, claim: Claim, crashed: bool = False) -> None:
    """`give_back` in a transaction that is already open."""
    table = rows_of(claim.want.step.level)
    mine = update(table).where(table.c.id.in_(claim.ids), table.c.owner == claim.want.owner)
    connection.execute(mine.values(**({"lease_until": EXPIRED} if crashed else _LET_GO)))


def let_go(engine: Engine, want: Want) -> None:
    """Let go of whatever a batch holds, as if never taken. It need not be known whether its claim went through."""
    table = rows_of(want.step.level)
    place = _here(table, want.dataset_id, want.step.name)
    with writing(engine) as connection:
        connection.execute(update(table).where(*place, table.c.owner == want.owner).values(**_LET_GO))


def misdated(engine: Engine, held: Mapping[str, float], lease_seconds: float) -> list[str]:
    """Of `holders`, those whose lease ends absurdly far ahead: the clock was set back since, by more than FAR leases.

    Who lives renews its lease, and so corrects it; the rows of who is dead would wait for as long as the step.
    """
    if not held:
        return []
    with reading(engine) as connection:
        limit = now(connection) + FAR * lease_seconds
    return [owner for owner, until in held.items() if until > limit]


def holders(engine: Engine, dataset_id: int, pipeline: Pipeline) -> dict[str, float]:
    """Who holds rows of a dataset now: owner and when its lease ends (unix seconds)."""
    found: dict[str, float] = {}
    with reading(engine) as connection:
        for step in pipeline.stages:
            table = rows_of(step.level)
            held = select(table.c.owner, func.max(table.c.lease_until)).where(
                *_here(table, dataset_id, step.name), table.c.lease_until > EXPIRED
            )
            for owner, until in connection.execute(held.group_by(table.c.owner)):
                found[str(owner)] = max(found.get(owner, 0.0), until)
    return found


def expire(engine: Engine, owners: Sequence[str]) -> int:
    """End the leases of owners known to be dead; returns how many rows that frees."""
    return _end(engine, owners, {"lease_until": EXPIRED})


def release(engine: Engine, owners: Sequence[str]) -> int:
    """Let go of the rows of owners that were told to stop, as if never taken; returns how many rows that frees."""
    return _end(engine, owners, _LET_GO)


def _end(engine: Engine, owners: Sequence[str], values: Mapping[str, Any]) -> int:
    if not owners:
        return 0
    freed = 0
    with writing(engine) as connection:
        for dataset_id in connection.execute(select(datasets.c.id)).scalars().all():
            for table in (videos, clips):
                for stage in stages_met(connection, table, dataset_id):  # by the claim index: only rows that are held
                    here = _here(table, dataset_id, stage)
                    dead = update(table).where(*here, table.c.lease_until > EXPIRED, table.c.owner.in_(list(owners)))
                    freed += connection.execute(dead.values(**values)).rowcount
    return freed


def stages_met(connection: Connection, table: Table, dataset_id: int) -> list[str]:
    """The stages before which rows of a dataset stand, `done` too: one look into the claim index for each."""
    found: list[str] = []
    while True:
        following = select(func.min(table.c.stage)).where(
            table.c.dataset_id == dataset_id, table.c.stage > (found[-1] if found else "")
        )
        stage = connection.execute(following).scalar_one()
        if stage is None:
            return found
        found.append(str(stage))


@dataclass(frozen=True)
class Ready:
    """What a stage of a dataset has to do now: so many batches, and a rest that waits for its batch to fill up."""

    step: StageStep
    batches: int
    rest: bool = False


def has_ready(engine: Engine, dataset_id: int, step: StageStep, pipeline: Pipeline, partial: bool = False) -> bool:
    """Whether a stage of a dataset has a batch to claim now; `partial`: a rest will do. Takes no lock."""
    with looking(engine) as connection:
        found = _ready(connection, dataset_id, step, pipeline, now(connection), 1)
    return found is not None and (found.batches > 0 or partial)


def ready(engine: Engine, dataset_id: int, pipeline: Pipeline, most: int = 1, queue: str = "") -> list[Ready]:
    """The stages of a dataset that have rows to claim now, deepest first, each with up to `most` batches.

    With a queue, only the stages that go to it.
    """
    with looking(engine) as connection:
        return list(_all_ready(connection, dataset_id, pipeline, most, queue))


def _all_ready(
    connection: Connection, dataset_id: int, pipeline: Pipeline, most: int, queue: str = ""
) -> Iterator[Ready]:
    time = now(connection)
    for step in reversed(pipeline.stages):
        if not queue or step.options.queue == queue:
            found = _ready(connection, dataset_id, step, pipeline, time, most)
            if found:
                yield found


def deepest(
    engine: Engine, dataset_id: int, pipeline: Pipeline, queue: str, without: Collection[str] = ()
) -> StageStep | None:
    """The deepest stage of a dataset that goes to the queue and has a batch to claim now; none of `without`."""
    with looking(engine) as connection:
        found = _all_ready(connection, dataset_id, pipeline, 1, queue)
        return next((one.step for one in found if one.batches and one.step.name not in without), None)


def waiting(engine: Engine, dataset_id: int, pipeline: Pipeline) -> list[StageStep]:
    """The stages of a dataset that have a batch to claim now, deepest first."""
    return [found.step for found in ready(engine, dataset_id, pipeline) if found.batches]


def _ready(
    connection: Connection, dataset_id: int, step: StageStep, pipeline: Pipeline, time: float, most: int
) -> Ready | None:
    table = rows_of(step.level)
    place = _here(table, dataset_id, step.name)
    free = select(table.c.lease_until).where(*place, table.c.lease_until < time)
    if order := step.spec.order(step.options):
        held = select(table.c.id).where(*place, table.c.lease_until >= time).limit(1)
        found = connection.execute(free.limit(1)).first() and not connection.execute(held).first()
        return Ready(step, 1) if found and _has_head(connection, dataset_id, step, pipeline, order) else None
    size = step.options.batch_size
    if most == 1 and not step.options.patience:  # what is asked after each batch
        return Ready(step, 1) if connection.execute(free.limit(1)).first() else None
    counted = free.limit(most * size).subquery()
    rows, last = connection.execute(select(func.count(), func.max(counted.c.lease_until))).one()
    if not rows:
        return None
    whole, rest = divmod(int(rows), size)
    # rows of a batch that died are taken in halves and wait for nobody
    if not step.options.patience or last > FREE or not _upstream_busy(connection, dataset_id, step, pipeline):
        return Ready(step, whole + bool(rest))
    return Ready(step, whole, bool(rest))


def _has_head(connection: Connection, dataset_id: int, step: StageStep, pipeline: Pipeline, order: Order) -> bool:
    rows = ready_in_order(connection, dataset_id, step, pipeline, order)
    return rows is not None and connection.execute(rows.limit(1)).first() is not None


def _upstream_busy(connection: Connection, dataset_id: int, step: StageStep, pipeline: Pipeline) -> bool:
    """Whether rows may still come to the stage from those before it."""
    names = [s.name for s in pipeline.stages]
    before = pipeline.stages[: names.index(step.name)]
    for level in {s.level for s in before}:
        table = rows_of(level)
        stages = [s.name for s in before if s.level == level]
        busy = (table.c.dataset_id == dataset_id, table.c.stage.in_(stages), table.c.status == "active")
        if connection.execute(select(table.c.id).where(*busy).limit(1)).first():
            return True
    return False
