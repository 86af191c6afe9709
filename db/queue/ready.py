"""What may be claimed now: the stages of a dataset that have rows, looked up without a lock."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, func, select

from curate.configs.pipeline import Pipeline, StageStep
from curate.configs.schema import Order
from curate.db.engine import looking, now
from curate.db.queue.leases import FREE, here
from curate.db.queue.ordered import ready_in_order
from curate.db.schema import rows_of


@dataclass(frozen=True)
class Ready:
    """What a stage of a dataset has to do now: so many batches, and a rest that waits for its batch
    to fill up.
    """

    step: StageStep
    batches: int
    rest: bool = False


def has_ready(
    engine: Engine, dataset_id: int, step: StageStep, pipeline: Pipeline, partial: bool = False
) -> bool:
    """Whether a stage of a dataset has a batch to claim now; `partial`: a rest will do. Takes no
    lock.
    """
    with looking(engine) as connection:
        found = _ready(connection, dataset_id, step, pipeline, now(connection), 1)
    return found is not None and (found.batches > 0 or partial)


def ready(
    engine: Engine, dataset_id: int, pipeline: Pipeline, most: int = 1, queue: str = ""
) -> list[Ready]:
    """The stages of a dataset that have rows to claim now, deepest first, each with up to `most`
    batches.

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
    """The deepest stage of a dataset that goes to the queue and has a batch to claim now; none of
    `without`.
    """
    with looking(engine) as connection:
        found = _all_ready(connection, dataset_id, pipeline, 1, queue)
        return next(
            (one.step for one in found if one.batches and one.step.name not in without), None
        )


def waiting(engine: Engine, dataset_id: int, pipeline: Pipeline) -> list[StageStep]:
    """The stages of a dataset that have a batch to claim now, deepest first."""
    return [found.step for found in ready(engine, dataset_id, pipeline) if found.batches]


def _ready(
    connection: Connection,
    dataset_id: int,
    step: StageStep,
    pipeline: Pipeline,
    time: float,
    most: int,
) -> Ready | None:
    table = rows_of(step.level)
    place = here(table, dataset_id, step.name)
    free = select(table.c.lease_until).where(*place, table.c.lease_until < time)
    if order := step.spec.order(step.options):
        held = select(table.c.id).where(*place, table.c.lease_until >= time).limit(1)
        found = connection.execute(free.limit(1)).first() and not connection.execute(held).first()
        return (
            Ready(step, 1)
            if found and _has_head(connection, dataset_id, step, pipeline, order)
            else None
        )
    size = step.options.batch_size
    if most == 1 and not step.options.patience:  # what is asked after each batch
        return Ready(step, 1) if connection.execute(free.limit(1)).first() else None
    counted = free.limit(most * size).subquery()
    rows, last = connection.execute(select(func.count(), func.max(counted.c.lease_until))).one()
    if not rows:
        return None
    whole, rest = divmod(int(rows), size)
    # rows of a batch that died are taken in halves and wait for nobody
    if (
        not step.options.patience
        or last > FREE
        or not _upstream_busy(connection, dataset_id, step, pipeline)
    ):
        return Ready(step, whole + bool(rest))
    return Ready(step, whole, bool(rest))


def _has_head(
    connection: Connection, dataset_id: int, step: StageStep, pipeline: Pipeline, order: Order
) -> bool:
    rows = ready_in_order(connection, dataset_id, step, pipeline, order)
    return rows is not None and connection.execute(rows.limit(1)).first() is not None


def _upstream_busy(
    connection: Connection, dataset_id: int, step: StageStep, pipeline: Pipeline
) -> bool:
    """Whether rows may still come to the stage from those before it."""
    names = [s.name for s in pipeline.stages]
    before = pipeline.stages[: names.index(step.name)]
    for level in {s.level for s in before}:
        table = rows_of(level)
        stages = [s.name for s in before if s.level == level]
        busy = (
            table.c.dataset_id == dataset_id,
            table.c.stage.in_(stages),
            table.c.status == "active",
        )
        if connection.execute(select(table.c.id).where(*busy).limit(1)).first():
            return True
    return False
