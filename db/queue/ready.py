"""Finds the stages of a dataset that have rows to claim, without locking anything."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache

from sqlalchemy import Connection, Engine, Select, bindparam, func, select

from curate.configs.pipeline import Pipeline, StageStep
from curate.configs.schema import Level
from curate.db.engine import reading
from curate.db.expressions import unix_time
from curate.db.queue.leases import FREE, at_bound_stage
from curate.db.queue.ordered import turn_of
from curate.db.schema import rows_of


@dataclass(frozen=True)
class Ready:
    """How many batches of a stage may be claimed now.

    `partial`: a batch that is not full waits in addition.
    """

    step: StageStep
    batches: int
    partial: bool = False


def has_ready(
    engine: Engine, dataset_id: int, step: StageStep, pipeline: Pipeline, partial: bool = False
) -> bool:
    """Whether a stage of a dataset has a batch to claim now; `partial`: a partial one will do."""
    with reading(engine, "AUTOCOMMIT") as connection:
        stage = _ready(connection, dataset_id, step, pipeline, 1)
    return stage is not None and (stage.batches > 0 or partial)


def ready(
    engine: Engine, dataset_id: int, pipeline: Pipeline, most: int = 1, queue: str = ""
) -> list[Ready]:
    """The stages of a dataset that have rows to claim now, deepest first.

    Counts up to `most` batches of each. `queue` limits them to the stages of that queue.
    """
    with reading(engine, "AUTOCOMMIT") as connection:
        return list(_all_ready(connection, dataset_id, pipeline, most, queue))


def deepest(
    engine: Engine, dataset_id: int, pipeline: Pipeline, queue: str, without: Collection[str] = ()
) -> StageStep | None:
    """The deepest stage of a queue that has a batch now, apart from those in `without`."""
    with reading(engine, "AUTOCOMMIT") as connection:
        stages = _all_ready(connection, dataset_id, pipeline, 1, queue)
        steps = (one.step for one in stages if one.batches and one.step.name not in without)
        return next(steps, None)


def waiting(engine: Engine, dataset_id: int, pipeline: Pipeline) -> list[StageStep]:
    """The stages of a dataset that have a batch to claim now, deepest first."""
    return [one.step for one in ready(engine, dataset_id, pipeline) if one.batches]


def _all_ready(
    connection: Connection, dataset_id: int, pipeline: Pipeline, most: int, queue: str
) -> Iterator[Ready]:
    for step in reversed(pipeline.stages):
        if queue and step.options.queue != queue:
            continue
        if stage := _ready(connection, dataset_id, step, pipeline, most):
            yield stage


def _ready(
    connection: Connection,
    dataset_id: int,
    step: StageStep,
    pipeline: Pipeline,
    most: int,
) -> Ready | None:
    at = {"of_dataset": dataset_id, "of_stage": step.name}
    size = step.options.batch_size
    patient = step.seconds_to_fill > 0
    # runs after each batch, so it counts only where a batch waits until it is full
    any_row = step.order or (most == 1 and not patient)
    rows = {"most": 1 if any_row else most * size}
    count, last = connection.execute(free_statement(step.level), {**at, **rows}).one()
    if not count:
        return None
    if step.order:
        turn = turn_of(connection, dataset_id, step, pipeline, step.order)
        head = turn and connection.execute(turn.statement, {**turn.parameters, "most": 1}).first()
        return Ready(step, 1) if head else None
    if step.divides:  # as `claim` does
        size = min(size, max(1, int(count) // most))
    full, partial = divmod(int(count), size)
    # rows of a dead batch are taken in halves and never wait for a full batch
    if not patient or last > FREE or not _upstream_busy(connection, dataset_id, step, pipeline):
        return Ready(step, full + bool(partial))
    return Ready(step, full, bool(partial))


@cache
def free_statement(level: Level) -> Select[int, float]:
    """The SELECT of how many rows may be claimed, up to `most`, and the latest end of a lease."""
    ends = rows_of(level).c.lease_until
    free = select(ends).where(*at_bound_stage(level), ends < unix_time())
    counted = free.limit(bindparam("most")).subquery()
    return select(func.count(), func.max(counted.c.lease_until))


def _upstream_busy(
    connection: Connection, dataset_id: int, step: StageStep, pipeline: Pipeline
) -> bool:
    """Whether a stage upstream still has active rows, which may come to this one."""
    names = [s.name for s in pipeline.stages]
    before = pipeline.stages[: names.index(step.name)]
    for level in {s.level for s in before}:
        table = rows_of(level)
        stages = [s.name for s in before if s.level == level]
        busy = (table.c.dataset_id == dataset_id, table.c.stage.in_(stages))
        active = select(table.c.id).where(*busy, table.c.status == "active").limit(1)
        if connection.execute(active).first():
            return True
    return False
