"""Leases: which batch holds which rows, and until when; what happens to rows whose holder died or
was told to stop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    CursorResult,
    Engine,
    Select,
    Table,
    Update,
    bindparam,
    func,
    literal_column,
    select,
    update,
)

from curate.configs.errors import WorkerCrashed
from curate.configs.pipeline import Pipeline, StageStep
from curate.configs.schema import Level
from curate.db.engine import is_sqlite, now, reading, writing
from curate.db.expressions import among, among_found, whole_row
from curate.db.schema import clips, rows_of, videos
from curate.db.side_tables import Rows

FREE = 0.0  # lease_until of a row that nobody holds
EXPIRED = 1.0  # lease_until of a row whose holder is known to be dead
# leases; one that ends further ahead was taken before the clock was set back, or by longer leases
FAR = 20


Row = dict[str, Any]


@dataclass(frozen=True)
class Want:
    """What a worker asks for: rows of one stage of one dataset. `reads` names tables whose rows
    come with clips.

    `epoch`, for ordered stages: that of the dataset when the process learned the clips taken
    before.
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
    """Rows held by one batch. `rows` are whole rows; clips come with their `videos`, by id, and
    `tables`, by name.

    `claim_seconds` is what taking them took, where somebody measured it.
    """

    want: Want
    rows: Sequence[Mapping[str, Any]]
    videos: Mapping[int, Mapping[str, Any]]
    started_at: float
    tables: Mapping[str, Rows] = field(default_factory=dict)
    claim_seconds: float | None = None

    @property
    def ids(self) -> list[int]:
        """The ids of the rows."""
        return [row["id"] for row in self.rows]


def here(
    table: Table, dataset_id: int | ColumnElement[int], stage: str | ColumnElement[str]
) -> tuple[ColumnElement[bool], ...]:
    """What the claim index finds the rows before a stage by, those at work too."""
    return table.c.dataset_id == dataset_id, table.c.stage == stage, table.c.status == "active"


def released() -> dict[str, Any]:
    """The position columns of a row that nobody holds."""
    return {"owner": None, "lease_until": FREE, "claim_size": 0, "attempts": 0}


_LET_GO = {
    k: v for k, v in released().items() if k != "attempts"
}  # crashes before this batch still count


def holding(level: Level, picked: Select[int], alone: bool = False) -> Update:
    """The statement, for `hold`, that holds the rows picked and returns them.

    `alone`: the row picked is one that crashed its worker in a batch of one, or two; such tries are
    counted.
    """
    table = rows_of(level)
    cte = picked.cte("picked")  # as a CTE the pick runs once, whatever plan Postgres chooses
    # in one UPDATE: for a row written twice in a transaction Postgres checks its foreign keys again
    size = select(func.count()).select_from(cte).scalar_subquery()
    lease = {"owner": bindparam("holder"), "lease_until": bindparam("until"), "claim_size": size}
    tried = {"attempts": table.c.attempts + 1} if alone else {}
    found = among_found(table.c.id, select(cte.c.id))
    return update(table).where(found).values(**lease, **tried).returning(whole_row())


def hold(
    connection: Connection, want: Want, time: float, statement: Update, values: Mapping[str, Any]
) -> list[Row]:
    """Hold rows by a statement of `holding`, with the values that its pick asks for; the whole
    rows.
    """
    lease = {"holder": want.owner, "until": time + want.lease_seconds}
    held = connection.execute(statement, {**values, **lease})
    if is_sqlite(connection):
        return load(connection, want.step.level, held.scalars().all())
    return _as_rows(held)


def load(connection: Connection, level: Level, ids: Sequence[int]) -> list[Row]:
    """Whole rows of a table, by their ids."""
    return _as_rows(connection.execute(_whole(level), {"ids": list(ids)}))


def _as_rows(found: CursorResult[Any]) -> list[Row]:
    names = tuple(found.keys())
    return [dict(zip(names, row, strict=True)) for row in found.all()]


@cache
def _whole(level: Level) -> Select[Any]:
    # SELECT *: score columns are added by stages, after the tables of this program were written
    return select(literal_column("*")).select_from(rows_of(level)).where(among(rows_of(level).c.id))


def gave_up(connection: Connection, want: Want, row_id: int) -> bool:
    """Whether a row has crashed its worker too often, alone in its batch; it has failed then."""
    table = rows_of(want.step.level)
    error = WorkerCrashed(stage=want.step.name, attempts=want.max_attempts)
    worn = update(table).where(table.c.id == row_id, table.c.attempts >= want.max_attempts)
    failed = {"status": "failed", "reason": type(error).__name__, "error": str(error), **released()}
    return connection.execute(worn.values(**failed)).rowcount > 0


def in_order(table: Table, *conditions: ColumnElement[bool]) -> Update:
    """An UPDATE of the few rows that fulfil the conditions, which locks them in the order of their
    ids.

    Whoever writes rows at work locks them so, beside renewals and saves: in an order of Postgres's
    own they would meet.
    """
    return update(table).where(among_found(table.c.id, _locked(table, *conditions)))


def _locked(table: Table, *conditions: ColumnElement[bool]) -> Select[int]:
    return select(table.c.id).where(*conditions).order_by(table.c.id).with_for_update()


@cache
def _mine(level: Level) -> Update:
    table = rows_of(level)
    return in_order(table, among(table.c.id), table.c.owner == bindparam("holder"))


def lock_held(connection: Connection, dataset_id: int) -> None:
    """Lock the rows at work of a dataset, in order: for a transaction that writes many rows, some
    of them at work.

    Call it with the dataset's row written or held alone: then nothing is claimed or saved
    meanwhile, and only renewals go on.
    """
    for table in (videos, clips):
        connection.execute(_locked(table, *_at_work(connection, table, dataset_id))).all()


def _at_work(
    connection: Connection, table: Table, dataset_id: int
) -> tuple[ColumnElement[bool], ...]:
    """What the claim index finds the rows by that are held, or were and nobody took again."""
    place = (
        table.c.dataset_id == dataset_id,
        table.c.stage.in_(stages_met(connection, table, dataset_id)),
    )
    return *place, table.c.status == "active", table.c.lease_until > FREE


def _whose(claim: Claim) -> dict[str, Any]:
    return {"ids": claim.ids, "holder": claim.want.owner}


def renew(engine: Engine, claim: Claim) -> int:
    """Hold the rows of a claim for another lease; returns how many are still held."""
    with writing(engine) as connection:
        until = now(connection) + claim.want.lease_seconds
        longer = _mine(claim.want.step.level).values(lease_until=until)
        return connection.execute(longer, _whose(claim)).rowcount


def give_back(engine: Engine, claim: Claim, crashed: bool) -> None:
    """Let go of the rows of a claim: as if never taken, or (crashed) to be tried again in halves."""
    with writing(engine) as connection:
        give_back_in(connection, claim, crashed)


def give_back_in(connection: Connection, claim: Claim, crashed: bool = False) -> None:
    """`give_back` in a transaction that is already open."""
    given_back = _mine(claim.want.step.level).values(
        **({"lease_until": EXPIRED} if crashed else _LET_GO)
    )
    connection.execute(given_back, _whose(claim))


def let_go(engine: Engine, want: Want) -> None:
    """Let go of whatever a batch holds, as if never taken. It need not be known whether its claim
    went through.
    """
    table = rows_of(want.step.level)
    place = here(table, want.dataset_id, want.step.name)
    with writing(engine) as connection:
        connection.execute(in_order(table, *place, table.c.owner == want.owner).values(**_LET_GO))


def misdated(engine: Engine, held: Mapping[str, float], lease_seconds: float) -> list[str]:
    """Of `holders`, those whose lease ends more than FAR leases ahead: mostly the clock was set
    back since.

    Who lives renews its lease, and so changes its end; the rows of who is dead would wait for as
    long as the step.
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
                *here(table, dataset_id, step.name), table.c.lease_until > EXPIRED
            )
            for owner, until in connection.execute(held.group_by(table.c.owner)):
                found[str(owner)] = max(found.get(owner, 0.0), until)
    return found


def expire(engine: Engine, dataset_id: int, owners: Sequence[str]) -> int:
    """End the leases that owners known to be dead have in a dataset; returns how many rows that
    frees.
    """
    return _end(engine, dataset_id, owners, {"lease_until": EXPIRED})


def release(engine: Engine, dataset_id: int, owners: Sequence[str]) -> int:
    """Let go of a dataset's rows of owners that were told to stop, as if never taken; returns how
    many that frees.
    """
    return _end(engine, dataset_id, owners, _LET_GO)


def _end(engine: Engine, dataset_id: int, owners: Sequence[str], values: Mapping[str, Any]) -> int:
    if not owners:
        return 0
    freed = 0
    with writing(engine) as connection:
        for table in (videos, clips):
            held = (*_at_work(connection, table, dataset_id), table.c.lease_until > EXPIRED)
            dead = in_order(table, *held, table.c.owner.in_(list(owners)))
            freed += connection.execute(dead.values(**values)).rowcount
    return freed


def stages_met(connection: Connection, table: Table, dataset_id: int) -> list[str]:
    """The stages before which rows of a dataset stand, `done` too: one look into the claim index
    for each.
    """
    found: list[str] = []
    while True:
        following = select(func.min(table.c.stage)).where(
            table.c.dataset_id == dataset_id, table.c.stage > (found[-1] if found else "")
        )
        stage = connection.execute(following).scalar_one()
        if stage is None:
            return found
        found.append(str(stage))
