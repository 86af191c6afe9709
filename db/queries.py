"""The questions that the command line asks: one function a question.

What is asked often (`tally`) reads the claim index alone for rows that are active or kept, so it stays
quick at ten million rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Select,
    Table,
    case,
    func,
    inspect,
    literal,
    literal_column,
    select,
    text,
)

from curate.configs.pipeline import FilterStep, Pipeline, StageStep
from curate.configs.schema import Level
from curate.db.engine import now, reading
from curate.db.saves import quoted
from curate.db.tables import batches, clips, rows_of, videos

LEVELS: tuple[Level, ...] = ("video", "clip")


@dataclass(frozen=True)
class Cell:
    """How many rows of a level stand at one place with one status and reason; `held` are at work."""

    level: Level
    place: str
    status: str
    reason: str | None
    rows: int
    held: int


def tally(engine: Engine, dataset_id: int) -> list[Cell]:
    """Where is everything? The rows of a dataset, counted by level, place, status and reason."""
    with reading(engine) as connection:
        time = now(connection)
        return [cell for level in LEVELS for cell in _cells(connection, dataset_id, level, time)]


def _cells(connection: Connection, dataset_id: int, level: Level, time: float) -> Iterator[Cell]:
    table = rows_of(level)
    held = func.sum(case((table.c.lease_until > time, 1), else_=0))
    mine = table.c.dataset_id == dataset_id
    going = select(table.c.stage, table.c.status, literal(None), func.count(), held)
    going = going.where(mine, table.c.status.in_(("active", "kept"))).group_by(table.c.stage, table.c.status)
    ended = select(table.c.stage, table.c.status, table.c.reason, func.count(), literal(0))
    ended = ended.where(mine, _ended(table))
    ended = ended.group_by(table.c.stage, table.c.status, table.c.reason)
    for query in (going, ended):
        for row in connection.execute(query):
            yield Cell(level, row[0], row[1], row[2], int(row[3]), int(row[4]))


def _ended(table: Table) -> ColumnElement[bool]:
    # literals: with bound values no engine can tell that an index over ended rows alone will do
    return table.c.status.in_([literal_column("'dropped'"), literal_column("'failed'")])


@dataclass(frozen=True)
class Passage:
    """What became of the rows that came to one step.

    came_in = waiting + running + failed + dropped + kept; `kept` went on to the next step. A filter has
    no waiting, running or failed rows. Rows that a filter drops are counted at the filter.
    """

    step: str
    kind: str  # stage or filter
    level: Level
    queue: str
    where: str
    came_in: int
    waiting: int = 0
    running: int = 0
    failed: int = 0
    dropped: int = 0

    @property
    def kept(self) -> int:
        """Rows that went on."""
        return self.came_in - self.waiting - self.running - self.failed - self.dropped

    @property
    def unfinished(self) -> int:
        """Rows that wait or are at work."""
        return self.waiting + self.running


def funnel(cells: list[Cell], pipeline: Pipeline) -> list[Passage]:
    """What did each step take in, keep and drop? One entry a step of the pipeline, in order."""
    left = {level: sum(c.rows for c in cells if c.level == level) for level in LEVELS}
    passages = []
    for step in pipeline.steps:
        passage = _passage(step, cells, left[step.level], {f.name for f in pipeline.filters})
        left[step.level] = passage.kept
        passages.append(passage)
    return passages


def _passage(step: StageStep | FilterStep, cells: list[Cell], came_in: int, filters: set[str]) -> Passage:
    level = step.level
    if isinstance(step, FilterStep):
        by_it = (c for c in cells if c.level == level and c.status == "dropped" and c.reason == step.name)
        dropped = sum(c.rows for c in by_it)
        return Passage(step.name, "filter", level, "", step.where, came_in, dropped=dropped)
    here = [c for c in cells if c.level == level and c.place == step.name]
    active = [c for c in here if c.status == "active"]
    running = sum(c.held for c in active)
    waiting = sum(c.rows for c in active) - running
    failed = sum(c.rows for c in here if c.status == "failed")
    dropped = sum(c.rows for c in here if c.status == "dropped" and c.reason not in filters)
    return Passage(step.name, "stage", level, step.options.queue, "", came_in, waiting, running, failed, dropped)


@dataclass(frozen=True)
class StageProgress:
    """How far one stage is. waiting + running + done + dropped + failed = the rows that came to it.

    `dropped` counts its own drops and those of the filters directly behind it. `rate` is in rows a
    second over the last minute, `eta` in seconds; both None when nothing finished in that time.
    """

    stage: str
    level: Level
    queue: str
    waiting: int
    running: int
    done: int
    dropped: int
    failed: int
    rate: float | None = None

    @property
    def eta(self) -> float | None:
        """Seconds until what waits now is done; None when nothing waits."""
        left = self.waiting + self.running
        return left / self.rate if self.rate and left else None

    @property
    def total(self) -> int:
        """The rows that came to the stage."""
        return self.waiting + self.running + self.finished

    @property
    def finished(self) -> int:
        """The rows that the stage is through with."""
        return self.done + self.dropped + self.failed


def progress(passages: list[Passage], rates: dict[str, float]) -> list[StageProgress]:
    """How far is each stage? In pipeline order."""
    stages: list[StageProgress] = []
    for index, passage in enumerate(passages):
        if passage.kind != "stage":
            continue
        behind = _filters_behind(passages, index)
        dropped = passage.dropped + sum(f.dropped for f in behind)
        done = (behind[-1] if behind else passage).kept
        place = (passage.step, passage.level, passage.queue, passage.waiting, passage.running)
        stages.append(StageProgress(*place, done, dropped, passage.failed, rates.get(passage.step)))
    return stages


def _filters_behind(passages: list[Passage], index: int) -> list[Passage]:
    found = []
    for passage in passages[index + 1 :]:
        if passage.kind != "filter":
            break
        if passage.level == passages[index].level:
            found.append(passage)
    return found


@dataclass(frozen=True)
class Totals:
    """The rows of a dataset by how they ended. `clips` and `videos` count all of their rows."""

    videos: int
    clips: int
    kept: int  # clips through the whole pipeline
    dropped: int
    failed: int
    active: int
    finished_videos: int

    def shares(self) -> dict[str, float]:
        """Kept, dropped, failed and waiting clips and unsplit videos, in percent; they sum to 100."""
        parts = {"kept": self.kept, "dropped": self.dropped, "failed": self.failed, "waiting": self.active}
        whole = sum(parts.values())
        return {name: 100 * rows / whole if whole else 0.0 for name, rows in parts.items()}


def totals(cells: list[Cell]) -> Totals:
    """How many rows are there, and how did they end? Videos that were split count by their clips."""

    def rows(level: Level, *status: str) -> int:
        return sum(c.rows for c in cells if c.level == level and (not status or c.status in status))

    ends = {s: rows("video", s) + rows("clip", s) for s in ("dropped", "failed", "active")}
    kept = rows("clip", "kept")
    return Totals(rows("video"), rows("clip"), kept, **ends, finished_videos=rows("video", "kept"))


def unfinished(cells: list[Cell]) -> int:
    """How many rows still have a stage to go through?"""
    return sum(c.rows for c in cells if c.status == "active")


RATE_SECONDS = 60.0


def throughput(engine: Engine, dataset_id: int, seconds: float = RATE_SECONDS) -> dict[str, float]:
    """How many rows a second did each stage finish lately? Stages that finished none are left out."""
    with reading(engine) as connection:
        time = now(connection)
        ended = batches.c.started_at + batches.c.seconds
        first = func.min(batches.c.started_at)
        query = select(batches.c.stage, func.sum(batches.c.n_ok + batches.c.n_failed), first).where(
            batches.c.dataset_id == dataset_id, batches.c.started_at > time - 86400, ended > time - seconds
        )
        found = connection.execute(query.group_by(batches.c.stage)).all()
    return {stage: rows / max(1.0, min(seconds, time - started)) for stage, rows, started in found if rows}


@dataclass(frozen=True)
class Failure:
    """One kind of failure: a stage, an error's class, how many rows, and one of them as an example."""

    stage: str
    level: Level
    error: str
    rows: int
    example_id: int
    path: str
    message: str


def failures(engine: Engine, dataset_id: int, stage: str | None = None) -> list[Failure]:
    """What failed, and why? Most frequent first."""
    found = []
    with reading(engine) as connection:
        for level in LEVELS:
            table = rows_of(level)
            kinds = select(table.c.stage, table.c.reason, func.count(), func.min(table.c.id)).where(
                table.c.dataset_id == dataset_id, _ended(table), table.c.status == "failed"
            )
            narrowed = kinds.where(table.c.stage == stage) if stage else kinds
            for place, reason, rows, example in connection.execute(narrowed.group_by(table.c.stage, table.c.reason)):
                path, message = _example(connection, level, example)
                found.append(Failure(place, level, reason or "?", int(rows), int(example), path, message))
    return sorted(found, key=lambda f: (-f.rows, f.stage, f.error))


def _example(connection: Connection, level: Level, row_id: int) -> tuple[str, str]:
    table = rows_of(level)
    query: Select[Any] = select(videos.c.path, table.c.error)
    if level == "clip":
        query = query.join_from(clips, videos, clips.c.video_id == videos.c.id)
    path, message = connection.execute(query.where(table.c.id == row_id)).one()
    return str(path), str(message or "")


def row(engine: Engine, dataset_id: int, level: Level, row_id: int) -> dict[str, Any] | None:
    """What is known of one row? Every column that is not NULL; a clip comes with its `source`."""
    table = "videos" if level == "video" else "clips"
    query = text(f"SELECT * FROM {table} WHERE id = :id AND dataset_id = :dataset")  # noqa: S608  one of two names
    with reading(engine) as connection:
        found = connection.execute(query, {"id": row_id, "dataset": dataset_id}).mappings().one_or_none()
        if found is None:
            return None
        known = {name: value for name, value in found.items() if value is not None}
        if level == "clip":
            source = select(videos.c.path).where(videos.c.id == found["video_id"])
            known["source"] = connection.execute(source).scalar_one()
    return known


@dataclass(frozen=True)
class TableInfo:
    """A table of the database: its columns with their types, and how many rows it has."""

    name: str
    rows: int
    columns: dict[str, str]


def described_tables(engine: Engine) -> list[TableInfo]:
    """Which tables and columns are there?"""
    found = []
    with reading(engine) as connection:
        inspector = inspect(connection)
        for name in sorted(inspector.get_table_names()):
            columns = {c["name"]: str(c["type"]).lower() for c in inspector.get_columns(name)}
            count = connection.execute(text(f"SELECT count(*) FROM {quoted(name)}")).scalar_one()  # noqa: S608
            found.append(TableInfo(name, int(count), columns))
    return found
