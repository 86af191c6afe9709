"""The rows of a dataset at one moment, in memory, and what `curate refilter` would do to them.

A threshold that is dragged asks fifty times a second what would become of a million clips: too
often for the database. So what filters look at is read once, as arrays, and judged here by the
rules of `curate.db.filters.judge` and `curate.db.filters.verdict`: which rows are decided, the
first filter that a row does not pass drops it, NULL does not pass, a clip falls with its video, and
what was picked by hand goes before all that.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine

from curate.configs.pipeline import DONE, FilterStep, Pipeline
from curate.configs.schema import LEVELS, Level
from curate.db.datasets import Dataset
from curate.db.engine import reading
from curate.db.filters.clauses import Clause, Clauses, read_clauses
from curate.db.filters.judge import Judge
from curate.db.preview import Changes
from curate.view.loading import (
    DROPPED,
    PICKED_TO_DROP,
    PICKED_TO_KEEP,
    Bools,
    Floats,
    Report,
    RowArrays,
    WantedRows,
    load_rows,
)

PASSES: dict[str, np.ufunc] = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}
NONE, WITH_VIDEO, BY_HAND = -1, -2, -3  # in place of a filter's number


@dataclass(frozen=True)
class Threshold:
    """A number that can be moved: that of a clause of a filter. `key` names it: `sharp.0`."""

    key: str
    step: FilterStep
    index: int  # among the movable clauses of the filter
    clause: Clause

    def passes(self, values: Floats, number: float | None = None) -> Bools:
        """Whether values pass the clause, with another number if one is given; NaN does not."""
        passed: Bools = PASSES[self.clause.op](
            values, self.clause.number if number is None else number
        )
        return passed


@dataclass(frozen=True)
class ChangedFilters:
    """Other filters: numbers by the key of a threshold, and names of filters that are off."""

    numbers: Mapping[str, float] = field(default_factory=dict)
    off: Collection[str] = ()


@dataclass(frozen=True)
class Prediction:
    """What a refilter would make of the rows of a level: arrays as in `RowArrays`."""

    level: Level
    rows: RowArrays
    goes_on: Bools  # afterwards
    verdict: NDArray[np.int16]  # number of the filter among those of the level; below 0: none
    unmeasured: Bools  # the predicate of that filter is NULL
    done: Bools

    @property
    def lost(self) -> Bools:
        """Rows that would be dropped."""
        return self.rows.going_on & ~self.goes_on

    @property
    def come_back(self) -> Bools:
        """Rows that would no longer be dropped."""
        return self.goes_on & ~self.rows.going_on

    @cached_property
    def counts(self) -> Changes:
        """How many of the rows that are judged change, as `curate.db.preview` counts them."""
        back, kept = self.come_back, self.goes_on & self.rows.going_on & self.rows.decided
        return Changes(
            kept=int(np.count_nonzero(kept)),
            lost=int(np.count_nonzero(self.lost)),
            come_back=int(np.count_nonzero(back)),
            to_go=int(np.count_nonzero(back & ~self.done)),
            unmeasured=int(np.count_nonzero(self.unmeasured & self.rows.decided)),
        )

    @property
    def at_work(self) -> int:
        """How many rows are on their way in batches: they are judged when these are saved."""
        return int(np.count_nonzero(self.rows.going_on & ~self.rows.decided))


class Snapshot:
    """The rows of a dataset as they were at `taken` (unix seconds)."""

    def __init__(self, pipeline: Pipeline, rows: Mapping[Level, RowArrays], taken: float) -> None:
        self.pipeline = pipeline
        self.rows = dict(rows)
        self.taken = taken
        self.clauses = clauses_of(pipeline)
        self.thresholds = {
            f"{step.name}.{n}": Threshold(f"{step.name}.{n}", step, n, clause)
            for step in pipeline.filters
            for n, clause in enumerate(self.clauses[step.name].movable)
        }
        self._met: dict[Level, NDArray[np.uint8]] = {}  # filters that a row stands behind
        self._done: dict[Level, Bools] = {}
        for level in LEVELS:
            stages = pipeline.level_stages(level)
            met = np.zeros(256, np.uint8)  # at a stage that the pipeline lacks, a row has met none
            met[: len(stages)] = [len(pipeline.filters_before(s, level)) for s in stages]
            self._met[level] = met[self.rows[level].stage]
            self._done[level] = self.rows[level].stage == stages.index(DONE)
        self._says = {step.name: self.says(step, ChangedFilters()) for step in pipeline.filters}

    def filters(self, level: Level) -> list[FilterStep]:
        """The filters of a level, in order."""
        return [step for step in self.pipeline.filters if step.level == level]

    def where(self, step: FilterStep, changes: ChangedFilters) -> str:
        """The predicate of a filter with its numbers changed. Raises ValueError for a number that
        no predicate may hold.
        """
        numbers = {
            threshold.index: changes.numbers[key]
            for key, threshold in self.thresholds.items()
            if threshold.step is step and key in changes.numbers
        }
        return self.clauses[step.name].moved(numbers)

    def steps(self, changes: ChangedFilters) -> list[dict[str, Any]]:
        """The pipeline with these changes, as `curate.configs.pipeline.parse` takes it."""
        raw = self.pipeline.frozen()
        for step in self.pipeline.filters:
            of_filter = next(r for r in raw if r.get("filter") == step.name)
            of_filter["where"] = self.where(step, changes)
            if step.name in changes.off:
                of_filter["enabled"] = False
        return raw

    def values(self, threshold: Threshold) -> Floats:
        """What a threshold is compared with, of each row of its level; NaN is NULL."""
        return self.rows[threshold.step.level].columns[threshold.clause.column]

    def met(self, step: FilterStep) -> Bools:
        """Which rows of its level have met a filter: they stand behind it."""
        number = self.filters(step.level).index(step)
        met: Bools = self._met[step.level] > number
        return met

    def says(self, step: FilterStep, changes: ChangedFilters) -> tuple[Bools, Bools]:
        """Which rows of its level pass a filter, and of which it is NULL, whether they have met it
        or not.
        """
        rows = self.rows[step.level]
        passed, null = np.ones(len(rows), np.bool_), np.zeros(len(rows), np.bool_)
        if step.name in changes.off:
            return passed, null
        false = np.zeros(len(rows), np.bool_)
        clauses = [rows.rest[step.name]] if step.name in rows.rest else []
        for threshold in self.thresholds.values():
            if threshold.step is step:
                values = self.values(threshold)
                number = changes.numbers.get(threshold.key)
                clauses.append((threshold.passes(values, number), np.isnan(values)))
        for true, unknown in clauses:
            passed &= true
            null |= unknown
            false |= ~(true | unknown)
        return passed, null & ~false

    def predict(self, changes: ChangedFilters) -> dict[Level, Prediction]:
        """What a refilter with these changes would make of the rows, by level."""
        changed = {self.thresholds[key].step.name for key in changes.numbers} | {*changes.off}
        videos = self._judge("video", changes, changed, None)
        fallen = None
        if any(step.name not in changes.off for step in self.filters("video")):
            dropped = self.rows["video"].status == DROPPED
            dropped = np.where(self.rows["video"].decided, ~videos.goes_on, dropped)
            fallen = dropped[self.rows["clip"].video]
        return {"video": videos, "clip": self._judge("clip", changes, changed, fallen)}

    def _judge(
        self, level: Level, changes: ChangedFilters, changed: Collection[str], fallen: Bools | None
    ) -> Prediction:
        rows = self.rows[level]
        verdict = np.full(len(rows), NONE, np.int16)
        unmeasured = np.zeros(len(rows), np.bool_)
        for number, step in reversed(list(enumerate(self.filters(level)))):
            same = step.name not in changed
            passed, null = self._says[step.name] if same else self.says(step, changes)
            dropped = ~passed & (self._met[level] > number)
            np.copyto(verdict, np.int16(number), where=dropped)
            np.copyto(unmeasured, null, where=dropped)
        if fallen is not None:
            verdict[fallen] = WITH_VIDEO
        verdict[rows.picked == PICKED_TO_KEEP] = NONE
        verdict[rows.picked == PICKED_TO_DROP] = BY_HAND
        unmeasured &= verdict >= 0
        goes_on = np.where(rows.decided, verdict == NONE, rows.going_on)
        return Prediction(level, rows, goes_on, verdict, unmeasured, self._done[level])


def clauses_of(pipeline: Pipeline) -> dict[str, Clauses]:
    """The clauses of each filter, by its name."""
    return {step.name: read_clauses(step.where) for step in pipeline.filters}


def take_snapshot(
    engine: Engine, dataset: Dataset, pipeline: Pipeline, report: Report = lambda _rows: None
) -> Snapshot:
    """Read what the filters of a dataset look at, of all its rows, at one moment.

    `report` is told of the rows read: of videos, then of clips. Raises ServiceError, NotANumber.
    """
    judge = Judge.of(dataset, pipeline)
    clauses = clauses_of(pipeline)
    rows: dict[Level, RowArrays] = {}
    taken = time.time()
    with reading(engine, "REPEATABLE READ") as connection:
        for level in LEVELS:
            steps = [step for step in pipeline.filters if step.level == level]
            rest = {s.name: clauses[s.name].rest_sql(engine.dialect.name) for s in steps}
            columns = {c.column for step in steps for c in clauses[step.name].movable}
            wanted = WantedRows(
                judge, level, sorted(columns), {name: sql for name, sql in rest.items() if sql}
            )
            video_ids = rows["video"].ids if level == "clip" else np.zeros(0, np.int64)
            rows[level] = load_rows(connection, wanted, video_ids, report)
    return Snapshot(pipeline, rows, taken)
