"""Leases: which batch holds which rows, and until when.

A row is leased while `lease_until` lies in the future. Two functions free the rows of a batch:
`release_rows`, as if they had never been taken, and `expire_rows`, after their process died.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import (
    ColumnElement,
    Connection,
    CursorResult,
    Dialect,
    Engine,
    Select,
    Table,
    Update,
    bindparam,
    column,
    func,
    inspect,
    select,
    update,
)

from curate.configs.pipeline import Pipeline, StageStep
from curate.configs.row_errors import WorkerCrashed
from curate.configs.schema import Level
from curate.db.engine import is_sqlite, now, reading, writing
from curate.db.expressions import among, among_found
from curate.db.home import home_of, shown_path
from curate.db.neighbours import Neighbours
from curate.db.schema import clips, rows_of, videos
from curate.db.side_tables import RowsByClip

FREE = 0.0  # lease_until of a row that nobody holds
EXPIRED = 1.0  # lease_until of a row whose holder is known to be dead
FAR = 20  # lease lengths; a lease that ends further ahead began before the clock was set back

# the lease columns of a row that nobody holds
FREE_COLUMNS: dict[str, Any] = {
    "owner": None,
    "lease_until": FREE,
    "claim_size": 0,
    "attempts": 0,
}
# the columns that a release resets: crashes before this batch still count
RELEASED_COLUMNS = {name: value for name, value in FREE_COLUMNS.items() if name != "attempts"}

WholeRow = dict[str, Any]  # of `videos` or `clips`, by column
# of each engine, by level
_column_names: WeakKeyDictionary[Dialect, dict[Level, tuple[str, ...]]] = WeakKeyDictionary()


@dataclass(frozen=True)
class ClaimRequest:
    """A worker's request for rows of one stage of one dataset.

    `reads` names the side tables whose rows come with clips, and with the clips up to `neighbours`
    before and after them. `epoch` is for ordered stages: the dataset's epoch when the process
    recalled which clips were taken before.
    """

    dataset_id: int
    step: StageStep
    pipeline: Pipeline
    owner: str
    lease_seconds: float
    max_attempts: int
    reads: Sequence[str] = ()
    neighbours: int = 0
    epoch: int | None = None


@dataclass(frozen=True)
class Claim:
    """The rows that one batch holds. `rows` are whole rows of `videos` or `clips`.

    Clips come with their `videos`, by id, and rows of side tables, by table name: their own, and
    those of their `neighbours`.
    `started_at` is unix time by the database's clock; `claim_seconds` is how long the claim took.
    """

    request: ClaimRequest
    rows: Sequence[Mapping[str, Any]]
    videos: Mapping[int, Mapping[str, Any]]
    started_at: float
    tables: Mapping[str, RowsByClip] = field(default_factory=dict)
    neighbours: Neighbours = field(default_factory=dict)
    claim_seconds: float | None = None

    @property
    def ids(self) -> list[int]:
        """The ids of the rows."""
        return [row["id"] for row in self.rows]


def at_stage(
    table: Table, dataset_id: int | ColumnElement[int], stage: str | ColumnElement[str]
) -> tuple[ColumnElement[bool], ...]:
    """The conditions by which the claim index finds the active rows at a stage, leased or free."""
    return table.c.dataset_id == dataset_id, table.c.stage == stage, table.c.status == "active"


def at_bound_stage(level: Level) -> tuple[ColumnElement[bool], ...]:
    """`at_stage` of the `of_dataset` and `of_stage` that a statement is executed with."""
    return at_stage(rows_of(level), bindparam("of_dataset"), bindparam("of_stage"))


def lease_statement(level: Level, candidates: Select[int], alone: bool = False) -> Update:
    """The UPDATE, for `lease_rows`, that leases the candidates.

    `alone`: the candidate crashed its worker while alone in its batch; that attempt is counted.
    """
    table = rows_of(level)
    # a CTE makes Postgres select the candidates once, whatever plan it chooses
    cte = candidates.cte("candidates")
    # all in one UPDATE: Postgres checks foreign keys again when a transaction writes a row twice
    size = select(func.count()).select_from(cte).scalar_subquery()
    lease = {"owner": bindparam("holder"), "lease_until": bindparam("until"), "claim_size": size}
    attempt = {"attempts": table.c.attempts + 1} if alone else {}
    chosen = among_found(table.c.id, select(cte.c.id))
    return update(table).where(chosen).values(**lease, **attempt)


def lease_rows(
    connection: Connection,
    request: ClaimRequest,
    time: float,
    statement: Update,
    parameters: Mapping[str, Any],
) -> list[WholeRow]:
    """Lease rows by a `lease_statement`; return the whole rows."""
    level = request.step.level
    lease = {"holder": request.owner, "until": time + request.lease_seconds}
    names = column_names(connection, level, request.pipeline)
    # SQLite gives 5.0 as 5 there, so it returns the ids, to read the rows by
    returned = ("id",) if is_sqlite(connection) else names
    leased = connection.execute(_returning(statement, returned), {**parameters, **lease})
    if is_sqlite(connection):
        ids = {"ids": leased.scalars().all()}
        leased = connection.execute(_load_statement(level, names), ids)
    return _whole_rows(connection, names, leased)


@lru_cache(64)
def _returning(statement: Update, names: Sequence[str]) -> Update:
    return statement.returning(*map(column, names))


def load_rows(
    connection: Connection, level: Level, ids: Sequence[int], pipeline: Pipeline
) -> list[WholeRow]:
    """The whole rows with these ids, paths as shown."""
    names = column_names(connection, level, pipeline)
    found = connection.execute(_load_statement(level, names), {"ids": list(ids)})
    return _whole_rows(connection, names, found)


@lru_cache(64)
def _load_statement(level: Level, names: Sequence[str]) -> Select[Any]:
    table = rows_of(level)
    chosen: list[ColumnElement[Any]] = [column(name) for name in names]
    return select(*chosen).select_from(table).where(among(table.c.id))


def _whole_rows(
    connection: Connection, names: Sequence[str], result: CursorResult[Any]
) -> list[WholeRow]:
    rows = [dict(zip(names, row, strict=True)) for row in result.all()]
    home = home_of(connection.dialect)
    for row in rows:
        if row["path"]:
            row["path"] = shown_path(row["path"], home)
    return rows


def column_names(connection: Connection, level: Level, pipeline: Pipeline) -> tuple[str, ...]:
    """The columns of `videos` or `clips` when they were last looked up; those that the stages of
    the pipeline have added to `clips` are among them.

    Statements name them: of `*` SQLAlchemy would find out anew what it got at each execution, which
    took a quarter of the time of a small batch.
    """
    found = _column_names.setdefault(connection.dialect, {})
    added = pipeline.clip_columns if level == "clip" else ()
    if level not in found or not set(found[level]).issuperset(added):
        # not by a `*`: Postgres refuses one that it has prepared once a column is added
        columns = inspect(connection).get_columns(rows_of(level).name)
        found[level] = tuple(one["name"] for one in columns)
    return found[level]


def forget_columns(engine: Engine) -> None:
    """Look the columns up at the next claim: the database may have been replaced."""
    _column_names.pop(engine.dialect, None)


def fail_worn_out(connection: Connection, request: ClaimRequest, row_id: int) -> bool:
    """Fail a row if it crashed its worker too often while alone; return whether it had."""
    table = rows_of(request.step.level)
    error = WorkerCrashed(stage=request.step.name, attempts=request.max_attempts)
    worn_out = (table.c.id == row_id, table.c.attempts >= request.max_attempts)
    failed = {"status": "failed", "reason": type(error).__name__, "error": str(error)}
    statement = update(table).where(*worn_out).values(**failed, **FREE_COLUMNS)
    return connection.execute(statement).rowcount > 0


def update_in_order(table: Table, *conditions: ColumnElement[bool]) -> Update:
    """An UPDATE of the few rows that meet the conditions; it locks them in the order of their ids.

    Whatever writes leased rows must lock them in this order: renewals and saves run concurrently,
    and two transactions that lock in different orders can deadlock.
    """
    return update(table).where(among_found(table.c.id, lock_in_order(table, *conditions)))


def lock_in_order(table: Table, *conditions: ColumnElement[bool]) -> Select[int]:
    """The SELECT of the ids of the rows that meet the conditions; it locks them in order."""
    return select(table.c.id).where(*conditions).order_by(table.c.id).with_for_update()


def lock_leased_rows(connection: Connection, dataset_id: int) -> None:
    """Lock the leased rows of a dataset, in order, for a transaction that writes many rows.

    First write the dataset's row, or lock it as `exclusive`: then no batch is claimed or saved
    meanwhile, and only renewals go on.
    """
    for table in (videos, clips):
        leased = _leased(connection, table, dataset_id)
        connection.execute(lock_in_order(table, *leased)).all()


def _leased(
    connection: Connection, table: Table, dataset_id: int, stages: Sequence[str] = ()
) -> tuple[ColumnElement[bool], ...]:
    """The conditions by which the claim index finds rows with a lease, expired or not."""
    names = stages or stages_met(connection, table, dataset_id)
    at_stages = (table.c.dataset_id == dataset_id, table.c.stage.in_(names))
    return *at_stages, table.c.status == "active", table.c.lease_until > FREE


def count_leased(connection: Connection, dataset_id: int) -> int:
    """How many rows of a dataset are at work: their leases have not ended."""
    time = now(connection)
    return sum(
        connection.execute(
            select(func.count()).where(
                *_leased(connection, table, dataset_id), table.c.lease_until > time
            )
        ).scalar_one()
        for table in (videos, clips)
    )


@cache
def renew_statement(level: Level) -> Update:
    """The UPDATE that renews the lease of a batch."""
    table = rows_of(level)
    held = (among(table.c.id), table.c.owner == bindparam("holder"))
    return update_in_order(table, *held).values(lease_until=bindparam("until"))


def renew(engine: Engine, claim: Claim) -> int:
    """Renew the lease of a claim for another lease length; return how many rows it still holds."""
    request = claim.request
    with writing(engine) as connection:
        until = now(connection) + request.lease_seconds
        lease = {"ids": claim.ids, "holder": request.owner, "until": until}
        return connection.execute(renew_statement(request.step.level), lease).rowcount


def release_rows(
    connection: Connection, dataset_id: int, owners: Sequence[str], step: StageStep | None = None
) -> int:
    """Free the rows that owners hold in a dataset, as if never taken; return how many.

    `step` says that they hold rows of this stage only, which spares a search.
    """
    return _free(connection, dataset_id, owners, step, RELEASED_COLUMNS)


def expire_rows(
    connection: Connection, dataset_id: int, owners: Sequence[str], step: StageStep | None = None
) -> int:
    """End the leases of owners that died in the middle of a batch; return how many rows.

    The rows are tried again in halves, so that a row that crashes its worker ends up alone.
    `step` is as in `release_rows`.
    """
    return _free(connection, dataset_id, owners, step, {"lease_until": EXPIRED})


def _free(
    connection: Connection,
    dataset_id: int,
    owners: Sequence[str],
    step: StageStep | None,
    columns: Mapping[str, Any],
) -> int:
    if not owners:
        return 0
    rows = 0
    for table in (rows_of(step.level),) if step else (videos, clips):
        leased = _leased(connection, table, dataset_id, [step.name] if step else ())
        held = (*leased, table.c.lease_until > EXPIRED, table.c.owner.in_(list(owners)))
        rows += connection.execute(update_in_order(table, *held).values(**columns)).rowcount
    return rows


def holders(engine: Engine, dataset_id: int, pipeline: Pipeline) -> dict[str, float]:
    """The owners that hold rows of a dataset, each with the end of its last lease (unix time)."""
    ends: dict[str, float] = {}
    with reading(engine) as connection:
        for step in pipeline.stages:
            table = rows_of(step.level)
            leases = select(table.c.owner, func.max(table.c.lease_until)).where(
                *at_stage(table, dataset_id, step.name), table.c.lease_until > EXPIRED
            )
            for owner, until in connection.execute(leases.group_by(table.c.owner)):
                ends[str(owner)] = max(ends.get(owner, 0.0), until)
    return ends


def misdated(engine: Engine, leases: Mapping[str, float], lease_seconds: float) -> list[str]:
    """The owners among `holders` whose lease ends more than FAR lease lengths ahead.

    Usually the clock was set back. A live worker corrects its lease when it renews it; the rows of
    a dead one would wait for as long as the clock was moved.
    """
    if not leases:
        return []
    with reading(engine) as connection:
        limit = now(connection) + FAR * lease_seconds
    return [owner for owner, until in leases.items() if until > limit]


def stages_met(connection: Connection, table: Table, dataset_id: int) -> list[str]:
    """The stages at which rows of a dataset stand, and `done`: one index lookup for each."""
    stages: list[str] = []
    while True:
        following = select(func.min(table.c.stage)).where(
            table.c.dataset_id == dataset_id, table.c.stage > (stages[-1] if stages else "")
        )
        stage = connection.execute(following).scalar_one()
        if stage is None:
            return stages
        stages.append(str(stage))
