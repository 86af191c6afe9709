"""Asks for a stage again: clips that are through with it go back before it, and later return to
where they stood.

Nothing between is computed again. A clip's `return_to` holds its way: after its stage it goes to
the first place of it. Other stages asked for, together or by a second redo, are put into that way
in the order of the pipeline.
"""

from __future__ import annotations

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
from curate.db.engine import now, writing
from curate.db.filters.check import condition_of
from curate.db.filters.columns import columns_of
from curate.db.filters.verdict import status_columns, verdict_of
from curate.db.queue.leases import FREE_COLUMNS, lock_leased_rows
from curate.db.save.placing import ROUTE_SEPARATOR
from curate.db.schema import clips


@dataclass(frozen=True)
class Redone:
    """What a redo did, in clips: `back` go back to the stage, `at_work` of them when their batch is
    saved.

    `dropped` were through with the stage and are now dropped by a filter before it; when a refilter
    revives them, they go through the stage first.
    """

    back: int = 0
    at_work: int = 0
    dropped: int = 0

    def __add__(self, other: Redone) -> Redone:
        return Redone(
            self.back + other.back, self.at_work + other.at_work, self.dropped + other.dropped
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
    """Put clips that are through with a stage, or failed in it, back before it; the pipeline may
    have other options.

    `where` is a predicate over clips: only those. They also go through the later stages `then` once
    more, on their way back. A clip at work in a later stage goes back when its batch is saved.
    Raises FilterError for a wrong predicate, and UsageError when the dataset's pipeline is no
    longer the one that was read.
    """
    add_columns(engine, pipeline.columns())
    condition = condition_of(where, columns_of(clips) | pipeline.columns(), engine.dialect.name)
    with writing(engine) as connection:
        write_pipeline(connection, dataset, pipeline)
        lock_leased_rows(connection, dataset.id)  # before the millions of rows that nobody renews
        again = _Again(
            connection, pipeline, (stage, *then), and_(clips.c.dataset_id == dataset.id, condition)
        )
        return again.everywhere()


def way_back(
    places: Sequence[str], stage: str, return_to: str | None, *again: str
) -> tuple[str, str] | None:
    """Stage and return_to of a free row that shall go through stages once more; None: it will do so
    anyway.

    `places` are those of the pipeline, in order.
    """
    *waits, last = [stage, *_split(return_to)]
    new = _before(places, last, again) - set(waits)
    if not new:
        return None
    first, *rest = [*sorted({*waits, *new}, key=places.index), last]
    return first, ROUTE_SEPARATOR.join(rest)


def way_on(places: Sequence[str], stage: str, return_to: str | None, *again: str) -> str | None:
    """return_to of a row at work in `stage` that shall go through stages afterwards; None: no need.

    What is at work is done once more only when an earlier stage is: it works on what that one has
    not written yet.
    """
    following = places[places.index(stage) + 1 :][:1] or [stage]
    *waits, last = _split(return_to) or following
    new = _before(places, last, again) - set(waits)
    if not _before(places, stage, {*waits, *new}):
        new -= {stage}
    return ROUTE_SEPARATOR.join([*sorted({*waits, *new}, key=places.index), last]) if new else None


def _before(places: Sequence[str], place: str, stages: Iterable[str]) -> set[str]:
    return {stage for stage in stages if places.index(stage) < places.index(place)}


def _split(return_to: str | None) -> list[str]:
    return return_to.split(ROUTE_SEPARATOR) if return_to else []


class _Again:
    """One redo, in one transaction."""

    def __init__(
        self,
        connection: Connection,
        pipeline: Pipeline,
        stages: Sequence[str],
        chosen: ColumnElement[bool],
    ) -> None:
        self._connection = connection
        self._pipeline = pipeline
        self._places = pipeline.level_stages("clip")
        self._stages = stages
        self._chosen = chosen
        self._held = and_(clips.c.owner.is_not(None), clips.c.lease_until >= now(connection))

    def everywhere(self) -> Redone:
        """Put back clips wherever they stand: those of one stage and one return_to together."""
        query = select(clips.c.stage, clips.c.return_to).where(self._chosen).distinct()
        routes = [(str(stage), return_to) for stage, return_to in self._connection.execute(query)]
        return sum((self._from(*route) for route in routes), Redone())

    def _from(self, stage: str, return_to: str | None) -> Redone:
        rows = and_(
            self._chosen, clips.c.stage == stage, clips.c.return_to.is_not_distinct_from(return_to)
        )
        back = way_back(self._places, stage, return_to, *self._stages)
        longer = back[1] if back and back[0] == stage else None
        # counted are those that ended here, not those that wait here
        revived = self._revive(rows, longer or return_to) if stage == self._stages[0] else None
        moved = Redone()
        if longer:  # they wait for an earlier stage that was asked for again, and come by later
            moved = self._written(rows, clips.c.status == "active", {"return_to": longer})
        elif back:
            moved = self._put(rows, back, way_on(self._places, stage, return_to, *self._stages))
        return moved if revived is None else revived

    def _revive(self, rows: ColumnElement[bool], return_to: str | None) -> Redone:
        """Clips that failed in the stage, or that it dropped; one that waits for it need not be
        told.
        """
        stage = self._stages[0]
        verdict = self._verdict(stage)
        ended = or_(
            clips.c.status == "failed", and_(clips.c.status == "dropped", verdict.is_(None))
        )
        values = status_columns(verdict, stage) | {
            "return_to": return_to,
            "error": None,
            **FREE_COLUMNS,
        }
        return self._written(and_(rows, ended), verdict.is_(None), values)

    def _put(self, rows: ColumnElement[bool], back: tuple[str, str], on: str | None) -> Redone:
        """Clips that stand later; those at work there keep their place, for whoever holds them."""
        place, return_to = back
        verdict = self._verdict(place)
        free = {"stage": place, **status_columns(verdict, place), "error": None, **FREE_COLUMNS}
        values = {
            name: case((self._held, clips.c[name]), else_=value) for name, value in free.items()
        }
        values["return_to"] = case((self._held, literal(on, Text)), else_=literal(return_to, Text))
        return self._written(rows, or_(self._held, verdict.is_(None)), values)

    def _verdict(self, place: str) -> ColumnElement[Any]:
        return verdict_of(self._pipeline, place, "clip", self._connection.dialect.name)

    def _written(
        self, rows: ColumnElement[bool], goes: ColumnElement[bool], values: Mapping[str, Any]
    ) -> Redone:
        counted = select(func.count(), _number(goes), _number(and_(goes, self._held))).select_from(
            clips
        )
        total, back, at_work = self._connection.execute(counted.where(rows)).one()
        self._connection.execute(update(clips).where(rows).values(**values))
        return Redone(int(back), int(at_work), int(total - back))


def _number(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)
