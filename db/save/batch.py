"""Saves what a batch found: scores, new clips, failures, the filters' verdicts and the log, in one
transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any, Protocol, cast

from sqlalchemy import (
    Connection,
    Engine,
    Float,
    Select,
    Table,
    Text,
    TextClause,
    Update,
    bindparam,
    case,
    delete,
    insert,
    select,
    text,
    update,
)

from curate.configs.errors import ServiceError
from curate.configs.pipeline import Pipeline, StageStep
from curate.configs.schema import Level, Order
from curate.configs.texts import input_cell, storable
from curate.db import side_tables as beside
from curate.db.engine import is_sqlite, reading, writing
from curate.db.expressions import among, unix_time
from curate.db.filters.verdict import judged, verdict_of
from curate.db.queue.leases import Claim, give_back_in, released
from curate.db.save.placing import made_for, write_and_place
from curate.db.schema import batches, clips, datasets, rows_of, videos
from curate.db.side_tables import FoundRows

BETWEEN = ">"  # the places of return_to


class FoundClip(Protocol):
    """A clip as the split stage reports it (curate.tasks.stage.NewClip)."""

    @property
    def index(self) -> int: ...
    @property
    def start_pts(self) -> int: ...
    @property
    def end_pts(self) -> int: ...
    @property
    def scores(self) -> Mapping[str, Any]: ...


@dataclass
class Findings:
    """What a batch found, by row id. A row of the claim is in one of the three, or it is given
    back.
    """

    scores: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    dropped: dict[int, str] = field(default_factory=dict)  # why
    failed: dict[int, tuple[str, str]] = field(
        default_factory=dict
    )  # the error's class and message
    clips: dict[int, Sequence[FoundClip]] = field(default_factory=dict)  # of a video
    tables: dict[int, Sequence[FoundRows]] = field(default_factory=dict)  # of a clip
    trouble: ServiceError | None = None  # why the others are given back


@dataclass(frozen=True)
class Writer:
    """Who saves: how it reads a frozen pipeline, its name and version for the log."""

    parse: Callable[[str], Pipeline]
    worker: str
    version: str


def save(engine: Engine, claim: Claim, findings: Findings, writer: Writer) -> int:
    """Write the findings of the rows that the claim still holds; returns how many rows that were.

    Rows lost to another worker in the meantime are left alone. The dataset's pipeline is read in
    the same transaction: a filter changed while the batch ran decides by its new form, and when the
    stage's options were changed so that they give other scores, or clips that an ordered stage
    compared with were deleted, nothing is written and the rows wait for the stage again.
    """
    step = claim.want.step
    table = rows_of(step.level)
    with writing(engine) as connection:
        pipeline = writer.parse(
            pipeline_held(connection, claim.want.dataset_id, alone=step.spec.makes is not None)
        )
        changed = pipeline is not claim.want.pipeline and scores_differ(
            pipeline.stage(step.name), step
        )
        if changed or _clips_deleted(connection, claim):
            give_back_in(connection, claim)
            return 0
        mine = _still_mine(connection, claim)
        passed = [i for i in findings.scores if i in mine]
        beside.replace(connection, {i: findings.tables[i] for i in passed if i in findings.tables})
        for video_id, found in findings.clips.items():
            if video_id in mine:
                _write_clips(connection, claim, video_id, found, pipeline)
        _write_scores(
            connection, table, {i: findings.scores[i] for i in passed if i in findings.dropped}
        )
        going = {i: mine[i] for i in passed if i not in findings.dropped}
        _write_and_move(connection, step, going, findings.scores, pipeline)
        _end_rows(connection, table, set(mine), findings)
        ok = len(mine.keys() & (findings.scores.keys() | findings.dropped.keys()))
        _log(connection, claim, (ok, len(mine.keys() & findings.failed.keys())), writer)
    return len(mine)


def scores_differ(one: StageStep, other: StageStep) -> bool:
    """Whether two forms of a stage may give different scores: not by when, where and how many rows
    at a time.
    """
    ignored = set(one.options.change_no_score)
    return one.options.model_dump(exclude=ignored) != other.options.model_dump(exclude=ignored)


def _clips_deleted(connection: Connection, claim: Claim) -> bool:
    """Whether clips that an ordered stage knew of were deleted in the meantime; the dataset's row
    is held already.
    """
    if claim.want.epoch is None:
        return False
    epoch = select(datasets.c.epoch).where(datasets.c.id == claim.want.dataset_id)
    return bool(connection.execute(epoch).scalar_one() != claim.want.epoch)


def _still_mine(connection: Connection, claim: Claim) -> dict[int, str | None]:
    """The rows that are still held, and where each returns to.

    In a statement of its own: the one that writes then sees the rows as they are now. Locked in the
    order of their ids, as by a renewal of their lease.
    """
    found = connection.execute(
        _held_by(claim.want.step.level), {"ids": claim.ids, "holder": claim.want.owner}
    )
    return {row.id: row.return_to for row in found.all()}


@cache
def _held_by(level: Level) -> Select[Any]:
    table = rows_of(level)
    held = (among(table.c.id), table.c.owner == bindparam("holder"), table.c.status == "active")
    return select(table.c.id, table.c.return_to).where(*held).order_by(table.c.id).with_for_update()


def _write_and_move(
    connection: Connection,
    step: StageStep,
    rows: Mapping[int, str | None],
    scores: Mapping[int, Mapping[str, Any]],
    pipeline: Pipeline,
) -> None:
    """Write scores and put rows behind the stage: each where it returns to, the others before the
    following stage.
    """
    _, following = pipeline.after(step.name)
    for route in set(rows.values()):
        place, _, rest = (route or following).partition(BETWEEN)
        found = {i: scores[i] for i, r in rows.items() if r == route}
        if is_sqlite(connection):
            _write_scores(connection, rows_of(step.level), found)
            place_rows(connection, step.level, list(found), pipeline, place, rest or None)
        else:
            write_and_place(connection, step, found, pipeline, place, rest or None)


def _write_scores(
    connection: Connection, table: Table, scores: Mapping[int, Mapping[str, Any]]
) -> None:
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row_id, values in scores.items():
        named = {f"v{n}": values[c] for n, c in enumerate(sorted(values))}
        groups.setdefault(tuple(sorted(values)), []).append({"row_id": row_id, **named})
    for columns, parameters in groups.items():
        if columns:
            connection.execute(_setting(table.name, columns), parameters)


@lru_cache(maxsize=256)
def _setting(table: str, columns: tuple[str, ...]) -> TextClause:
    assigned = ", ".join(f"{quoted(c)} = :v{n}" for n, c in enumerate(columns))
    return text(f"UPDATE {table} SET {assigned} WHERE id = :row_id")  # noqa: S608


def quoted(column: str) -> str:
    """A column name as an SQL identifier. Raises ValueError for anything but letters, digits and _."""
    if not column.isidentifier() or not column.isascii():
        raise ValueError(f"not a column name: {column!r}")
    return f'"{column}"'


def _write_clips(
    connection: Connection,
    claim: Claim,
    video_id: int,
    found: Sequence[FoundClip],
    pipeline: Pipeline,
) -> None:
    forget_clips(connection, claim.want.dataset_id, [video_id], pipeline)
    connection.execute(update(videos).where(videos.c.id == video_id).values(num_clips=len(found)))
    if not found:
        return
    _, entry = pipeline.entry("clip")
    video = next(row for row in claim.rows if row["id"] == video_id)
    words = input_cell(video["extra"], "text")
    position = {
        "dataset_id": claim.want.dataset_id,
        "video_id": video_id,
        "stage": entry,
        "status": "active",
    }
    parameters = [
        {"text": words, **clip.scores, **position}
        | {"clip_index": clip.index, "start_pts": clip.start_pts, "end_pts": clip.end_pts}
        for clip in found
    ]
    made = connection.execute(insert(clips).returning(clips.c.id), parameters)
    place_rows(connection, "clip", [int(row[0]) for row in made], pipeline, entry)


def forget_clips(
    connection: Connection, dataset_id: int, video_ids: Sequence[int], pipeline: Pipeline
) -> None:
    """Delete the clips of videos that are split again. What was a duplicate of one of them goes
    back to be compared.
    """
    gone = [
        int(row[0])
        for row in connection.execute(select(clips.c.id).where(clips.c.video_id.in_(video_ids)))
    ]
    if not gone:
        return
    # what processes of ordered stages remember of this dataset no longer holds
    connection.execute(
        update(datasets).where(datasets.c.id == dataset_id).values(epoch=datasets.c.epoch + 1)
    )
    connection.execute(delete(clips).where(clips.c.id.in_(gone)))
    free = {"return_to": None, "status": "active", "reason": None, **released()}
    # the last stage first: a clip that is a duplicate in two ways goes back to the earlier one
    for step in reversed(pipeline.stages):
        order = step.spec.order(step.options)
        if order is None or order.duplicate_of is None:
            continue
        orphans = (
            clips.c.dataset_id == dataset_id,
            clips.c[order.duplicate_of].in_(gone),
            clips.c.status != "failed",
        )
        unmeasured = dict.fromkeys(step.spec.columns)
        connection.execute(
            update(clips).where(*orphans).values(stage=step.name, **free, **unmeasured)
        )


def place_rows(
    connection: Connection,
    level: Level,
    ids: Sequence[int],
    pipeline: Pipeline,
    place: str,
    then: str | None = None,
) -> None:
    """Put rows before stage `place` (or at the end), free, with the verdict of all filters before
    it.

    `then` is where they go from there when that is not the stage that follows.
    """
    if not ids:
        return
    dialect = connection.dialect.name
    moved = made_for(
        pipeline, (level, place, dialect), lambda: _placing(level, pipeline, place, dialect)
    )
    connection.execute(moved, {"ids": list(ids), "then_to": then})


def _placing(level: Level, pipeline: Pipeline, place: str, dialect: str) -> Update:
    table = rows_of(level)
    verdict = verdict_of(pipeline, place, level, dialect)
    position = {"stage": place, "return_to": bindparam("then_to", type_=Text()), "error": None}
    return (
        update(table)
        .where(among(table.c.id))
        .values(**position, **judged(verdict, place), **released())
    )


def _end_rows(connection: Connection, table: Table, mine: set[int], findings: Findings) -> None:
    ends: dict[int, tuple[str, str, str | None]] = {
        i: ("dropped", r, None) for i, r in findings.dropped.items()
    }
    ends |= {i: ("failed", kind, message) for i, (kind, message) in findings.failed.items()}
    parameters = [
        {"row_id": i, "to": status, "why": why, "said": said}
        for i, (status, why, said) in ends.items()
        if i in mine
    ]
    if parameters:
        ended = update(table).where(table.c.id == bindparam("row_id"))
        values = {
            "status": bindparam("to"),
            "reason": bindparam("why"),
            "error": bindparam("said"),
            **released(),
        }
        connection.execute(ended.values(**values), parameters)


def _log(
    connection: Connection,
    claim: Claim,
    counts: tuple[int, int],
    writer: Writer,
    error: Exception | None = None,
) -> None:
    entry = {
        "dataset_id": claim.want.dataset_id,
        "stage": claim.want.step.name,
        "worker": writer.worker,
        "n_ok": counts[0],
        "n_failed": counts[1],
        "started_at": claim.started_at,
        "since": claim.started_at,
        "version": writer.version,
        "error": None if error is None else storable(str(error)),
        "reason": None if error is None else type(error).__name__,
        "claim_seconds": claim.claim_seconds,
    }
    connection.execute(_ENTRY, entry)


_TOOK = unix_time() - bindparam("since", type_=Float(53))
_ENTRY = (
    insert(batches).inline().values(seconds=case((_TOOK < 0, 0.0), else_=_TOOK))
)  # a clock may be set back


def log_given_back(engine: Engine, claim: Claim, error: Exception, writer: Writer) -> None:
    """Write down that a whole batch was given back, and why: a service is missing, no row is to
    blame.
    """
    with writing(engine) as connection:
        _log(connection, claim, (0, 0), writer, error)


def pipeline_held(connection: Connection, dataset_id: int, alone: bool = False) -> str:
    """The dataset's pipeline, held as it is until the transaction ends; before any row.

    `alone`: no other save goes on beside this one, which may write the dataset's row too (two would
    block each other).
    """
    return str(connection.execute(_pipeline(alone), {"of_dataset": dataset_id}).scalar_one())


@cache
def _pipeline(alone: bool) -> Select[Any]:
    one = select(datasets.c.pipeline).where(datasets.c.id == bindparam("of_dataset"))
    return one.with_for_update(read=not alone)


TAKEN = 10_000  # rows that taken_since reads at a time


def taken_since(
    engine: Engine, dataset_id: int, last: int, order: Order
) -> Iterator[Sequence[Mapping[str, Any]]]:
    """The clips that an ordered stage took after number `last`, in order, some at a time: a million
    fit into no memory.

    Each has id, the number, and what the stage recalls.
    """
    number = clips.c[order.number]
    columns = (clips.c.id, number, *[clips.c[name] for name in order.recalled])
    taken = select(*columns).where(clips.c.dataset_id == dataset_id, number > last)
    with reading(engine) as connection:
        found = connection.execution_options(yield_per=TAKEN).execute(taken.order_by(number))
        for part in found.mappings().partitions():
            yield cast(Sequence[Mapping[str, Any]], part)
