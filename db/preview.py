"""Counts what a refilter would do, by the code that does it; writes nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, case, func, literal, literal_column, select

from curate.configs.pipeline import DONE, Pipeline, written_level
from curate.configs.schema import LEVELS, Level
from curate.db.datasets import Dataset
from curate.db.engine import reading
from curate.db.filters.judge import Judge
from curate.db.filters.sql import to_sql
from curate.db.refilter import Report, VideoRange, video_ranges
from curate.db.reports.counts import count_rows
from curate.db.schema import rows_of

Step = Mapping[str, Any]  # of a frozen pipeline


@dataclass
class Changes:
    """Rows, counted by what changed filters do to them.

    `kept` go on before and after. `lost` go on and would be dropped. `come_back` are dropped and
    would go on; of these `to_go` have stages to go through, whose filters then decide. `unmeasured`
    are dropped afterwards because the predicate is NULL: no threshold brings them back.
    """

    kept: int = 0
    lost: int = 0
    come_back: int = 0
    to_go: int = 0
    unmeasured: int = 0


@dataclass(frozen=True)
class FilterChange:
    """What a change does to the rows of one level that one filter decides about.

    `old` and `new` are the predicates, None for a pipeline without the filter. `kept` rows are
    those behind the filter, `lost` those that it would drop, `come_back` those that it has dropped.
    A filter over videos has a second one, for the clips that fall and return with their video.
    """

    name: str
    level: Level
    old: str | None
    new: str | None
    changes: Changes


@dataclass(frozen=True)
class Preview:
    """What a refilter would do now: for each filter that changes or has an effect, and in all.

    Batches hold the `at_work` rows, which are judged when these are saved and counted nowhere else.
    """

    filters: Sequence[FilterChange] = ()
    in_all: Mapping[Level, Changes] = field(default_factory=dict)
    at_work: int = 0


def preview(
    engine: Engine, dataset: Dataset, pipeline: Pipeline, report: Report | None = None
) -> Preview:
    """What `curate.db.refilter.replace_pipeline` would do to the rows that are there at this
    moment: it would revive all that come back and drop all that are lost.
    """
    judge = Judge.of(dataset, pipeline)
    rows: dict[Level, defaultdict[_Kind, int]] = {level: defaultdict(int) for level in LEVELS}
    with reading(engine, "REPEATABLE READ") as connection:
        at_work = sum(c.leased + c.expired for c in count_rows(connection, dataset.id))
        ranges = video_ranges(connection, dataset.id)
        total = sum(of_range.rows for of_range in ranges)
        judged = 0
        for of_range in ranges:
            for level in LEVELS:
                for kind, count in _kinds(connection, judge, level, of_range):
                    rows[level][kind] += count
            judged += of_range.rows
            if report:
                report(judged, total)
    in_all = {level: _sum(rows[level]) for level in LEVELS}
    return Preview(_by_filter(judge, dataset.frozen, rows), in_all, at_work)


@dataclass(frozen=True)
class _Kind:
    """Rows that are alike: their stage, and the filters that drop them now and afterwards."""

    stage: str
    was: str | None
    verdict: str | None
    unmeasured: int  # 1: the predicate of `verdict` is NULL


def _kinds(
    connection: Connection, judge: Judge, level: Level, of_range: VideoRange
) -> Iterator[tuple[_Kind, int]]:
    """How many rows of each kind some videos have."""
    table, dialect = rows_of(level), connection.dialect.name
    verdict = judge.verdict(level, dialect)
    is_null: dict[str, Any] = {
        step.name: case(
            (literal_column(f"({to_sql(step.where, dialect)}) IS NULL"), 1), else_=literal(0)
        )
        for step in judge.pipeline.filters
        if step.level == level
    }
    unmeasured = case(is_null, value=verdict, else_=0) if is_null else literal(0)
    columns = [table.c.stage, judge.was(level).label("was"), verdict.label("verdict")]
    rows = select(*columns, unmeasured.label("unmeasured"))
    decided = rows.where(of_range.chosen(level), judge.decided(level)).subquery()
    counts = select(*decided.c, func.count()).group_by(*decided.c)
    for *values, count in connection.execute(counts):
        yield _Kind(*values), int(count)


def _sum(
    kinds: Mapping[_Kind, int], name: str | None = None, behind: Collection[str] = ()
) -> Changes:
    """What one filter changes, which the rows at the stages `behind` have met; without a name, what
    all filters change.
    """
    total = Changes()
    for kind, count in kinds.items():
        if kind.was is None and kind.verdict is None:
            total.kept += count if name is None or kind.stage in behind else 0
        elif kind.verdict is None and name in (None, kind.was):
            total.come_back += count
            total.to_go += count if kind.stage != DONE else 0
        elif kind.verdict is not None and name in (None, kind.verdict):
            total.lost += count if kind.was is None else 0
            total.unmeasured += count * kind.unmeasured
    return total


def _by_filter(
    judge: Judge, old_steps: Sequence[Step], kinds: Mapping[Level, Mapping[_Kind, int]]
) -> list[FilterChange]:
    """The filters, in order, that change or have an effect; those that are gone come last."""
    new_steps = judge.pipeline.frozen()
    old, new = (
        {s["filter"]: str(s["where"]).strip() for s in steps if "filter" in s}
        for steps in (old_steps, new_steps)
    )
    filters: list[FilterChange] = []
    for name in dict.fromkeys([*new, *old, *judge.names]):
        level: Level = "video"  # of the filter
        behind = None  # the stages behind it
        for step in new_steps if name in new else old_steps:
            if step.get("filter") == name:
                behind = {DONE}
            elif "stage" in step and behind is None:
                level = written_level(judge.pipeline.by_name[step["stage"]].spec)
            elif "stage" in step and behind is not None:
                behind.add(step["stage"])
        for of_level in LEVELS:
            changes = _sum(kinds[of_level], name, behind or {DONE})
            differs = of_level == level and old.get(name) != new.get(name)
            if differs or changes.lost or changes.come_back:
                filters.append(FilterChange(name, of_level, old.get(name), new.get(name), changes))
    return filters
