"""Saves a batch in one transaction: scores, new clips, failures, verdicts, and a row of the log."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from operator import add
from typing import Any

from sqlalchemy import (
    Connection,
    Engine,
    Row,
    Select,
    Update,
    bindparam,
    func,
    null,
    select,
    update,
)
from sqlalchemy.exc import NoResultFound

from curate.configs.errors import ServiceError
from curate.configs.pipeline import Pipeline
from curate.configs.schema import Level
from curate.db import side_tables
from curate.db.engine import writing
from curate.db.expressions import among
from curate.db.queue.leases import FREE_COLUMNS, Claim, release_rows
from curate.db.save.clips import FoundClip, begin_again, replace_clips
from curate.db.save.log import Done, Took, log_batch
from curate.db.save.placing import ROUTE_SEPARATOR, write_and_place
from curate.db.schema import clips, datasets, rows_of
from curate.db.side_tables import NewRows


@dataclass
class Outcomes:
    """What a stage found for each row of a batch, by row id.

    A row is in `scores` (and also in `dropped` if it goes no further), or in `failed`. A row in
    neither is released because of `service_error`, or its source was replaced: `replaced` are the
    fingerprints, by video id, in the row and of the file that is there now.
    """

    scores: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    dropped: dict[int, str] = field(default_factory=dict)  # the reason
    failed: dict[int, tuple[str, str]] = field(default_factory=dict)  # error class and message
    clips: dict[int, Sequence[FoundClip]] = field(default_factory=dict)  # by video id
    tables: dict[int, Sequence[NewRows]] = field(default_factory=dict)  # by clip id
    took: list[Took] = field(default_factory=list)
    service_error: ServiceError | None = None
    replaced: Mapping[int, tuple[str, str]] = field(default_factory=dict)

    def leave_out(self, row_ids: Collection[int]) -> None:
        """Forget what was found for these rows."""
        for found in (self.scores, self.dropped, self.failed, self.clips, self.tables):
            for row_id in found.keys() & row_ids:
                del found[row_id]


@dataclass(frozen=True)
class Writer:
    """The process that saves: its parser of frozen pipelines, and its name and version."""

    parse: Callable[[str], Pipeline]
    worker: str
    version: str


@dataclass(frozen=True)
class Saved:
    """What became of the rows of a batch, in rows.

    Those `released` wait for the stage again: its options changed, clips that it compared with were
    deleted, or a service was missing. Those `lost` are held by another worker now. The source of
    those `replaced` is another file now, and their video begins again.
    """

    ok: int = 0
    failed: int = 0
    dropped: int = 0  # by the stage or by a filter
    released: int = 0
    lost: int = 0
    replaced: int = 0

    def __add__(self, later: Saved) -> Saved:
        return Saved(*map(add, vars(self).values(), vars(later).values()))

    @property
    def rows(self) -> int:
        """The rows that were saved."""
        return self.ok + self.failed + self.dropped


def save(engine: Engine, claim: Claim, outcomes: Outcomes, writer: Writer) -> Saved:
    """Write the outcomes of the rows that the claim still holds.

    Rows that another worker now holds are left alone. The dataset's pipeline is read in the same
    transaction, so a filter that changed while the batch ran decides by its new form.

    A video whose source was replaced begins again with its new fingerprint and without its clips.

    Saves nothing and releases the rows, to run the stage again, if its options have changed so that
    they give other scores, or if clips were deleted that an ordered stage compared with.
    """
    request, step = claim.request, claim.request.step
    with writing(engine) as connection:
        may_delete_clips = bool(step.spec.makes or outcomes.replaced)
        try:
            dataset = lock_dataset(connection, request.dataset_id, exclusive=may_delete_clips)
            pipeline = writer.parse(dataset.pipeline)
        except NoResultFound:  # it was deleted
            return Saved(lost=len(claim.rows))
        step_now = pipeline.by_name[step.name]
        changed = step_now is not step and not step.scores_as(step_now)
        if changed or request.epoch not in (None, dataset.epoch):
            release_rows(connection, request.dataset_id, [request.owner], step)
            return Saved(released=len(claim.rows))
        # locked by a separate statement, so that the one that writes sees their newest versions
        holder = {"ids": claim.ids, "holder": request.owner}
        held = connection.execute(held_statement(step.level), holder).all()
        routes: dict[int, str | None] = {row.id: row.return_to for row in held}
        if outcomes.replaced:
            begin_again(connection, request, outcomes.replaced, pipeline)
        scored = [i for i in outcomes.scores if i in routes]
        if tables := {i: rows for i, rows in outcomes.tables.items() if i in routes}:
            side_tables.replace(connection, tables)
        for video in claim.rows:
            if video["id"] in routes and video["id"] in outcomes.clips:
                replace_clips(connection, video, outcomes.clips[video["id"]], pipeline)
        following = pipeline.following[step.name]
        by_route: dict[tuple[str, str | None], dict[int, Mapping[str, Any]]] = {}
        for row_id in scored:
            stage, _, onward = (routes[row_id] or following).partition(ROUTE_SEPARATOR)
            route: tuple[str, str | None] = (stage, onward or None)
            if row_id in outcomes.dropped:  # it goes no further
                route = (step.name, routes[row_id])
            by_route.setdefault(route, {})[row_id] = outcomes.scores[row_id]
        for route, scores in by_route.items():
            write_and_place(connection, step.level, step.columns, scores, pipeline, route)
        if outcomes.dropped or outcomes.failed:
            _end_rows(connection, step.level, outcomes, routes)
        n_dropped = len(routes.keys() & outcomes.dropped.keys())
        if pipeline.filters or any(row.picked for row in held):
            count = dropped_statement(step.level)
            n_dropped = connection.execute(count, {"ids": scored}).scalar_one()
        n_failed = len(routes.keys() & outcomes.failed.keys())
        n_ok = len(routes.keys() & (outcomes.scores.keys() | outcomes.dropped.keys()))
        done = Done(n_ok, n_failed, outcomes.took)
        log_batch(connection, claim, done, writer.worker, writer.version)
    held_videos = [row.get("video_id", row["id"]) for row in claim.rows if row["id"] in routes]
    n_replaced = sum(video_id in outcomes.replaced for video_id in held_videos)
    n_released, n_lost = len(routes) - n_ok - n_failed - n_replaced, len(claim.rows) - len(routes)
    return Saved(n_ok - n_dropped, n_failed, n_dropped, n_released, n_lost, n_replaced)


def lock_dataset(connection: Connection, dataset_id: int, exclusive: bool = False) -> Row[Any]:
    """Lock a dataset's row until the transaction ends; return its `pipeline` and `epoch`.

    Call it before any other row is locked. `exclusive` keeps out all other saves: for a save that
    may write the dataset's row, since two of these would deadlock.
    """
    return connection.execute(dataset_statement(exclusive), {"of_dataset": dataset_id}).one()


@cache
def dataset_statement(exclusive: bool) -> Select[Any]:
    """The SELECT that locks a dataset's pipeline."""
    one = select(datasets.c.pipeline, datasets.c.epoch)
    return one.where(datasets.c.id == bindparam("of_dataset")).with_for_update(read=not exclusive)


@cache
def held_statement(level: Level) -> Select[Any]:
    """The SELECT of the rows that a batch still holds, where each returns to, and how it is picked.

    It locks them in the order of their ids, as a renewal does.
    """
    table = rows_of(level)
    held = (among(table.c.id), table.c.owner == bindparam("holder"), table.c.status == "active")
    picked = clips.c.picked if level == "clip" else null().label("picked")
    return (
        select(table.c.id, table.c.return_to, picked)
        .where(*held)
        .order_by(table.c.id)
        .with_for_update()
    )


@cache
def dropped_statement(level: Level) -> Select[Any]:
    """The SELECT that counts those of some rows that were dropped."""
    table = rows_of(level)
    return select(func.count()).where(among(table.c.id), table.c.status == "dropped")


def _end_rows(
    connection: Connection, level: Level, outcomes: Outcomes, row_ids: Collection[int]
) -> None:
    """Write status, reason and error of those of the rows that go no further."""
    ends: dict[int, tuple[str, str, str | None]] = {
        i: ("dropped", reason, None) for i, reason in outcomes.dropped.items()
    }
    ends |= {i: ("failed", kind, message) for i, (kind, message) in outcomes.failed.items()}
    names = ("row_id", "to_status", "to_reason", "to_error")
    rows = [dict(zip(names, (i, *end), strict=True)) for i, end in ends.items() if i in row_ids]
    if rows:
        connection.execute(end_statement(level), rows)


@cache
def end_statement(level: Level) -> Update:
    """The UPDATE of a row that goes no further."""
    table = rows_of(level)
    columns: dict[str, Any] = {n: bindparam(f"to_{n}") for n in ("status", "reason", "error")}
    return update(table).where(table.c.id == bindparam("row_id")).values(columns | FREE_COLUMNS)
