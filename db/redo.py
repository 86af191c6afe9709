"""Redoes a stage: clips that went through it go back before it, and later return to where they
stood.

No stage between is computed again. A clip's `return_to` holds its route: the stages that it goes to
after the one it stands at, in order. The last of them is where it stood. Several stages, redone
together or by a second redo, go into the route in the order of the pipeline.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Text,
    and_,
    case,
    func,
    literal,
    or_,
    select,
    update,
)

from curate.configs.pipeline import Pipeline
from curate.db.datasets import Dataset, add_columns, write_pipeline
from curate.db.engine import now, reading, writing
from curate.db.expressions import among_these
from curate.db.filters.check import condition_of
from curate.db.filters.columns import columns_of
from curate.db.filters.verdict import status_columns, verdict_of
from curate.db.queue.leases import FREE_COLUMNS, lock_leased_rows
from curate.db.save.placing import ROUTE_SEPARATOR
from curate.db.schema import clips, datasets


@dataclass(frozen=True)
class Redone:
    """What a redo did, in clips: `back` go back to the stage, `at_work` of them once their batch is
    saved, and `kept` of them were kept until then.

    `dropped` went through the stage and are now dropped by a filter before it; when a refilter
    revives them, they go through the stage first.
    """

    back: int = 0
    at_work: int = 0
    dropped: int = 0
    kept: int = 0

    def __add__(self, other: Redone) -> Redone:
        return Redone(
            self.back + other.back,
            self.at_work + other.at_work,
            self.dropped + other.dropped,
            self.kept + other.kept,
        )


def set_pipeline(engine: Engine, dataset: Dataset, pipeline: Pipeline) -> None:
    """Give a dataset a pipeline whose options differ and change no score. Raises UsageError, see
    `redo`.
    """
    with writing(engine) as connection:
        write_pipeline(connection, dataset, pipeline)


def redo(
    engine: Engine,
    dataset: Dataset,
    pipeline: Pipeline,
    stage: str,
    where: str = "",
    then: Sequence[str] = (),
) -> Redone:
    """Put clips that went through a stage, or failed in it, back before it; the pipeline may have
    other options.

    `where` is a predicate that chooses the clips. On their way back they also go once more through
    `then`, which are later stages. A clip leased in a later stage goes back when its batch is
    saved. An ordered stage compares each clip with those before it, so it is done again for
    all clips only: `where` is empty. Raises FilterError for a wrong predicate, and UsageError when
    the dataset's pipeline is no longer the one that was read.
    """
    add_columns(engine, pipeline.columns())
    condition = condition_of(where, columns_of(clips) | pipeline.columns(), engine.dialect.name)
    with writing(engine) as connection:
        write_pipeline(connection, dataset, pipeline)
        if not where:  # from here on, no clip has measures of an earlier form
            forms = {name: pipeline.by_name[name].spec.form for name in (stage, *then)}
            values = {"forms": json.dumps(dataset.forms | forms)}
            connection.execute(update(datasets).where(datasets.c.id == dataset.id).values(**values))
        lock_leased_rows(connection, dataset.id)  # before the millions of rows that nobody renews
        _forget_order(connection, dataset, pipeline, (stage, *then))
        chosen = and_(clips.c.dataset_id == dataset.id, condition)
        return _Redo(connection, pipeline, (stage, *then), chosen).run()


def count_redo(
    engine: Engine,
    dataset: Dataset,
    pipeline: Pipeline,
    stage: str,
    where: str = "",
    then: Sequence[str] = (),
) -> Redone:
    """What `redo` would do; nothing is written. Raises FilterError for a wrong predicate."""
    condition = condition_of(where, columns_of(clips) | pipeline.columns(), engine.dialect.name)
    chosen = and_(clips.c.dataset_id == dataset.id, condition)
    with reading(engine, "REPEATABLE READ") as connection:
        return _Redo(connection, pipeline, (stage, *then), chosen, writes=False).run()


def _forget_order(
    connection: Connection, dataset: Dataset, pipeline: Pipeline, repeated: Sequence[str]
) -> None:
    """Let the ordered ones of some stages have taken no clip yet; what their processes remember is
    no longer true.
    """
    ordered = [pipeline.by_name[name] for name in repeated if pipeline.by_name[name].order]
    if ordered:
        newer = update(datasets).where(datasets.c.id == dataset.id)
        connection.execute(newer.values(epoch=datasets.c.epoch + 1))
    for step in ordered:
        of_dataset = update(clips).where(clips.c.dataset_id == dataset.id)
        connection.execute(of_dataset.values(**dict.fromkeys(step.spec.columns)))


def put_back(
    engine: Engine, dataset: Dataset, pipeline: Pipeline, stage: str, ids: Sequence[int]
) -> Redone:
    """As `redo`, of some clips: they go through the stage of the dataset's pipeline again."""
    with writing(engine) as connection:
        write_pipeline(connection, dataset, pipeline)
        lock_leased_rows(connection, dataset.id)
        chosen = and_(clips.c.dataset_id == dataset.id, among_these(clips.c.id, list(ids)))
        return _Redo(connection, pipeline, (stage,), chosen).run()


def give_up_files(
    engine: Engine, dataset: Dataset, pipeline: Pipeline, stage: str, ids: Sequence[int]
) -> list[int]:
    """Forget the files that a stage wrote of clips that a filter before it drops. A refilter that
    revives one sends it through the stage again. Returns the ids of these clips.
    """
    with writing(engine) as connection:
        write_pipeline(connection, dataset, pipeline)
        lock_leased_rows(connection, dataset.id)
        before = verdict_of(pipeline, stage, "clip", connection.dialect.name).is_not(None)
        dropped = (clips.c.status == "dropped", clips.c.path.is_not(None), before)
        query = select(clips.c.id).where(among_these(clips.c.id, list(ids)), *dropped)
        found = [int(i) for i in connection.execute(query).scalars()]
        chosen = among_these(clips.c.id, found)
        _Redo(connection, pipeline, (stage,), chosen).run()
        connection.execute(update(clips).where(chosen).values(path=None))
        return found


def route_of_free_row(
    stages: Sequence[str], stage: str, return_to: str | None, *repeated: str
) -> tuple[str, str] | None:
    """The new stage and return_to of a free row, which now stands at `stage`, so that it goes
    through the repeated stages once more; None: it will do so anyway.

    `stages` are those of the pipeline, in order, with `done`.
    """
    *waits, last = [stage, *_split(return_to)]
    added = _before(stages, last, repeated) - set(waits)
    if not added:
        return None
    first, *following = [*sorted({*waits, *added}, key=stages.index), last]
    return first, ROUTE_SEPARATOR.join(following)


def route_of_leased_row(
    stages: Sequence[str], stage: str, return_to: str | None, *repeated: str
) -> str | None:
    """The new return_to of a row that is leased in `stage`, so that it goes through the repeated
    stages afterwards; None: no need.

    It comes to `stage` itself again only if an earlier stage is repeated too: its batch works on
    what that stage has not written yet.
    """
    *waits, last = _split(return_to) or stages[stages.index(stage) + 1 :][:1] or [stage]
    added = _before(stages, last, repeated) - set(waits)
    if not _before(stages, stage, {*waits, *added}):
        added -= {stage}
    if not added:
        return None
    return ROUTE_SEPARATOR.join([*sorted({*waits, *added}, key=stages.index), last])


def _before(stages: Sequence[str], stage: str, names: Iterable[str]) -> set[str]:
    return {name for name in names if stages.index(name) < stages.index(stage)}


def _split(return_to: str | None) -> list[str]:
    return return_to.split(ROUTE_SEPARATOR) if return_to else []


class _Redo:
    """One redo, in one transaction; without `writes`, clips are only counted. `repeated`: the stage
    and the later ones redone with it.
    """

    def __init__(
        self,
        connection: Connection,
        pipeline: Pipeline,
        repeated: Sequence[str],
        chosen: ColumnElement[bool],
        writes: bool = True,
    ) -> None:
        self._connection = connection
        self._pipeline = pipeline
        self._stages = pipeline.level_stages("clip")
        self._repeated = repeated
        self._chosen = chosen
        self._writes = writes
        self._leased = and_(clips.c.owner.is_not(None), clips.c.lease_until >= now(connection))

    def run(self) -> Redone:
        """Put back the chosen clips: those with the same stage and return_to together."""
        query = select(clips.c.stage, clips.c.return_to).where(self._chosen).distinct()
        groups = self._connection.execute(query).all()
        return sum((self._redo_group(str(stage), route) for stage, route in groups), Redone())

    def _redo_group(self, stage: str, return_to: str | None) -> Redone:
        rows = and_(
            self._chosen, clips.c.stage == stage, clips.c.return_to.is_not_distinct_from(return_to)
        )
        route = (self._stages, stage, return_to)
        new_stage, new_return_to = route_of_free_row(*route, *self._repeated) or (stage, return_to)
        if new_stage != stage:
            leased_return_to = route_of_leased_row(*route, *self._repeated)
            return self._put_back(rows, new_stage, new_return_to, leased_return_to)
        # of clips at the first repeated stage, those that ended there count, not those that wait
        revived = self._revive(rows, new_return_to) if stage == self._repeated[0] else None
        rerouted = Redone()
        if new_return_to != return_to:  # they come to the repeated stages after this one
            values = {"return_to": new_return_to}
            rerouted = self._count_and_update(rows, clips.c.status == "active", values)
        return rerouted if revived is None else revived

    def _put_back(
        self,
        rows: ColumnElement[bool],
        stage: str,
        return_to: str | None,
        leased_return_to: str | None,
    ) -> Redone:
        """Put the free rows back before a stage; leased rows stay where they are and get their own
        return_to, by which they go back when they are saved.
        """
        verdict = self._verdict(stage)
        free = {"stage": stage, **status_columns(verdict, stage), "error": None, **FREE_COLUMNS}
        values = {
            name: case((self._leased, clips.c[name]), else_=value) for name, value in free.items()
        }
        values["return_to"] = case(
            (self._leased, literal(leased_return_to, Text)), else_=literal(return_to, Text)
        )
        return self._count_and_update(rows, or_(self._leased, verdict.is_(None)), values)

    def _revive(self, rows: ColumnElement[bool], return_to: str | None) -> Redone:
        """Make the rows active that failed in the first repeated stage, or that it dropped."""
        stage = self._repeated[0]
        verdict = self._verdict(stage)
        ended = or_(
            clips.c.status == "failed", and_(clips.c.status == "dropped", verdict.is_(None))
        )
        values = status_columns(verdict, stage) | {
            "return_to": return_to,
            "error": None,
            **FREE_COLUMNS,
        }
        return self._count_and_update(and_(rows, ended), verdict.is_(None), values)

    def _verdict(self, stage: str) -> ColumnElement[Any]:
        return verdict_of(self._pipeline, stage, "clip", self._connection.dialect.name)

    def _count_and_update(
        self, rows: ColumnElement[bool], going_back: ColumnElement[bool], values: Mapping[str, Any]
    ) -> Redone:
        """Update the rows; those that do not go back are counted as dropped."""
        kept = and_(going_back, clips.c.status == "kept")
        counts = select(
            func.count(),
            *map(_number, (going_back, and_(going_back, self._leased), kept)),
        ).select_from(clips)
        total, back, leased, unkept = map(int, self._connection.execute(counts.where(rows)).one())
        if self._writes:
            self._connection.execute(update(clips).where(rows).values(**values))
        return Redone(back, leased, total - back, unkept)


def _number(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)
