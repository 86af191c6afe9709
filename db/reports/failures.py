"""What went wrong in a dataset: rows that failed, and stages that cannot work now though no row is
to blame.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Engine,
    Select,
    Table,
    exists,
    func,
    literal,
    null,
    or_,
    select,
)

from curate.configs.schema import LEVELS, Level
from curate.db.engine import now, reading
from curate.db.queue.leases import stages_met
from curate.db.schema import batches, clips, rows_of, stands, videos

NO_CLASS = "?"  # of a row that failed without a reason
_CHUNK = 2000


@dataclass(frozen=True)
class Failure:
    """One kind of failure: a stage, an error's class, how many rows, and one of them."""

    stage: str
    level: Level
    error: str
    rows: int
    example_id: int
    path: str
    message: str


def failures(
    engine: Engine, dataset_id: int, stage: str | None = None, error: str | None = None
) -> list[Failure]:
    """What failed, at one stage or (None) at all, with one class of error or any? Most frequent
    first.
    """
    kinds = []
    with reading(engine) as connection:
        for level in LEVELS:
            table = rows_of(level)
            for name in [stage] if stage else stages_met(connection, table, dataset_id):
                by_reason = (
                    select(table.c.reason, func.count(), func.min(table.c.id))
                    .where(
                        table.c.dataset_id == dataset_id,
                        table.c.stage == name,
                        table.c.status == "failed",
                    )
                    .group_by(table.c.reason)
                )
                if error:
                    by_reason = by_reason.where(table.c.reason == error)
                for reason, rows, example_id in connection.execute(by_reason).all():
                    query: Select[Any] = select(videos.c.path, table.c.error)
                    if level == "clip":
                        query = query.join_from(clips, videos, clips.c.video_id == videos.c.id)
                    path, message = connection.execute(query.where(table.c.id == example_id)).one()
                    example = (int(example_id), str(path), str(message or ""))
                    kinds.append(Failure(name, level, reason or NO_CLASS, int(rows), *example))
    return sorted(kinds, key=lambda f: (-f.rows, f.stage, f.error))


def retry_words(dataset: str, stage: str, error: str | None) -> tuple[str, ...]:
    """The words behind `curate` that try rows of one kind again; without a class of error, all that
    failed at the stage.
    """
    of_class = ("--error", error) if error and error != NO_CLASS else ()
    return ("retry", dataset, "--stage", stage, *of_class)


def sources_that_failed(
    engine: Engine, dataset_id: int, error: str, stage: str | None = None
) -> list[str]:
    """The sources of the rows that failed with an error, each once; `stage` narrows down."""
    paths: set[str] = set()
    with reading(engine) as connection:
        for level in LEVELS:
            table = rows_of(level)
            failed = [*_failed(table, dataset_id), table.c.reason == error]
            failed += [table.c.stage == stage] if stage else []
            query = select(videos.c.path).distinct().where(*failed)
            if level == "clip":
                query = query.join_from(clips, videos, clips.c.video_id == videos.c.id)
            paths.update(connection.execute(query).scalars())
    return sorted(paths)


class FailedRow(NamedTuple):
    """One row that failed. Of a video, the clip's columns are None."""

    level: Level
    id: int
    stage: str
    error: str
    path: str  # of the video
    clip_index: int | None
    start_seconds: float | None
    end_seconds: float | None
    message: str


def failed_rows(
    engine: Engine, dataset_id: int, stage: str | None = None, error: str | None = None
) -> Iterator[FailedRow]:
    """Every row that failed, at one stage or (None) at all, with one class of error or any: videos
    first, in the order of their ids. Memory does not grow with their number.
    """
    with reading(engine) as connection:
        stream = connection.execution_options(yield_per=_CHUNK)
        for level in LEVELS:
            table = rows_of(level)
            span = [clips.c.clip_index, clips.c.start_seconds, clips.c.end_seconds]
            query = select(
                literal(level),
                table.c.id,
                table.c.stage,
                func.coalesce(table.c.reason, NO_CLASS),
                videos.c.path,
                *(span if level == "clip" else [null()] * len(span)),
                func.coalesce(table.c.error, ""),
            ).where(*_failed(table, dataset_id))
            if level == "clip":
                query = query.join_from(clips, videos, clips.c.video_id == videos.c.id)
            query = query.where(table.c.stage == stage) if stage else query
            query = query.where(table.c.reason == error) if error else query
            for row in stream.execute(query.order_by(table.c.id)):
                yield FailedRow(*row)


def reasons(engine: Engine, dataset_id: int) -> list[str]:
    """The classes of errors that rows of a dataset failed with, by name."""
    found = set()
    with reading(engine) as connection:
        for table in map(rows_of, LEVELS):
            query = select(table.c.reason).where(*_failed(table, dataset_id)).distinct()
            rows = connection.execute(query)
            found |= {reason for reason in rows.scalars() if reason}
    return sorted(found)


def _failed(table: Table, dataset_id: int) -> tuple[ColumnElement[bool], ...]:
    """That rows of a dataset failed, as the index of ended rows has it."""
    of_dataset = table.c.dataset_id == dataset_id
    return of_dataset, stands(table, "dropped", "failed"), table.c.status == "failed"


BLOCKED_SECONDS = (
    600.0  # a blocked stage is tried at least every minute, so older batches say nothing
)


@dataclass(frozen=True)
class BlockedStage:
    """A stage whose last batch failed as a whole: the error's class and message, and how many
    seconds ago.
    """

    stage: str
    reason: str
    message: str
    seconds: float


def blocked_stages(engine: Engine, dataset_id: int) -> list[BlockedStage]:
    """The stages whose last batch of the last ten minutes failed as a whole, by name."""
    with reading(engine) as connection:
        time = now(connection)
        recent = (batches.c.dataset_id == dataset_id, batches.c.started_at > time - BLOCKED_SECONDS)
        last = select(func.max(batches.c.id)).where(*recent).group_by(batches.c.stage)
        columns = (batches.c.stage, batches.c.reason, batches.c.error, batches.c.started_at)
        query = select(*columns).where(batches.c.id.in_(last), batches.c.error.is_not(None))
        rows = connection.execute(query.order_by(batches.c.stage)).all()
    return [
        BlockedStage(stage, reason or "ServiceError", error, max(0.0, time - started_at))
        for stage, reason, error, started_at in rows
    ]


PASSING_SECONDS = 60.0  # for so long a service may be away before a run gives up
# errors of what is plainly missing, which does not come back by itself
MISSING = ("PackageMissing", "ModelsMissing", "BadModel", "NoDevice")
# errors of a stage that waits for a command, once rows are there
FOR_A_COMMAND = ("NotFitted", "AskedOffline")


def hopeless_stage(
    engine: Engine, dataset_id: int, since: float, batches_in_a_row: int = 6
) -> tuple[str, str] | None:
    """A stage for which waiting is no use, and its error: the last batches since `since` (unix
    seconds) all failed as a whole. None where there is hope.

    A stage that waits for a command is given up at once when all that is left waits for it.
    A full disk passes: work goes on by itself when there is room. Other errors than of what is
    plainly missing may pass too, so they have to last a minute: a store that does not answer, say.
    """
    recent = (
        select(batches.c.stage, batches.c.error, batches.c.reason, batches.c.started_at)
        .where(batches.c.dataset_id == dataset_id, batches.c.started_at >= since)
        .order_by(batches.c.id.desc())
        .limit(batches_in_a_row)
    )
    with reading(engine) as connection:
        rows = connection.execute(recent).all()
        if rows and rows[0].reason in FOR_A_COMMAND:
            left = [
                exists().where(
                    t.c.dataset_id == dataset_id, t.c.stage != rows[0].stage, stands(t, "active")
                )
                for t in (videos, clips)
            ]
            if connection.execute(select(or_(*left))).scalar():
                return None
            return str(rows[0].stage), str(rows[0].error)
    if len(rows) < batches_in_a_row or any(
        row.error is None or row.reason == "DiskFull" for row in rows
    ):
        return None
    lasted = max(row.started_at for row in rows) - min(row.started_at for row in rows)
    if lasted < PASSING_SECONDS and not all(row.reason in MISSING for row in rows):
        return None
    return str(rows[0].stage), str(rows[0].error)
