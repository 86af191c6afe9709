"""What the table `batches` tells: counters and histograms for metrics, the history of each stage,
and rates.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Select, and_, case, func, select

from curate.db.engine import now, reading
from curate.db.reports.progress import MOST_BATCHES, EndedBatch, rate
from curate.db.schema import batches

# a batch logged so long ago has been committed, so no lower id is still to come
SETTLED_SECONDS = 60.0
BATCH_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)
CLAIM_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


@dataclass
class Histogram:
    """Seconds: how many, their sum, and how many were within each bound."""

    count: int = 0
    total: float = 0.0
    within: list[int] = field(default_factory=list)

    def __add__(self, other: Histogram) -> Histogram:
        if not self.within or not other.within:  # one of nothing has no bounds
            within = self.within or other.within
        else:
            within = [a + b for a, b in zip(self.within, other.within, strict=True)]
        return Histogram(self.count + other.count, self.total + other.total, within)


@dataclass
class BatchSums:
    """The batches of one stage of a dataset, summed. `given_back` counts those that failed as a
    whole.
    """

    batches: int = 0
    given_back: int = 0
    ok: int = 0
    failed: int = 0
    seconds: Histogram = field(default_factory=Histogram)
    claim: Histogram = field(default_factory=Histogram)

    def __add__(self, other: BatchSums) -> BatchSums:
        return BatchSums(
            batches=self.batches + other.batches,
            given_back=self.given_back + other.given_back,
            ok=self.ok + other.ok,
            failed=self.failed + other.failed,
            seconds=self.seconds + other.seconds,
            claim=self.claim + other.claim,
        )


Key = tuple[int, str]  # of a dataset's id and a stage


class BatchCounters:
    """Sums over all batches since this was made or before, which never go back: each batch is read
    once.

    Batches of the last minute are summed anew each time, because ids are given out in another order
    than committed.
    """

    def __init__(self) -> None:
        self._settled: dict[Key, BatchSums] = {}
        self._last = 0

    def read(self, engine: Engine) -> dict[Key, BatchSums]:
        """The sums by dataset and stage up to now."""
        with reading(engine) as connection:
            new = batches.c.id > self._last
            ended = batches.c.started_at + batches.c.seconds
            young = select(func.min(batches.c.id)).where(
                new, ended > now(connection) - SETTLED_SECONDS
            )
            first_young = connection.execute(young).scalar()
            old = new if first_young is None else and_(new, batches.c.id < first_young)
            settled = (
                connection.execute(select(func.max(batches.c.id)).where(old)).scalar() or self._last
            )
            if settled > self._last:
                between = and_(batches.c.id > self._last, batches.c.id <= settled)
                self._settled = _added(self._settled, _sums(connection, between))
                self._last = settled
            return _added(self._settled, _sums(connection, batches.c.id > self._last))


def _added(one: Mapping[Key, BatchSums], other: Mapping[Key, BatchSums]) -> dict[Key, BatchSums]:
    return {
        key: one.get(key, BatchSums()) + other.get(key, BatchSums())
        for key in one.keys() | other.keys()
    }


def _sums(connection: Connection, which: ColumnElement[bool]) -> dict[Key, BatchSums]:
    columns = [
        batches.c.dataset_id,
        batches.c.stage,
        func.count(),
        func.count(batches.c.error),
        func.sum(batches.c.n_ok),
        func.sum(batches.c.n_failed),
        *_histogram_columns(batches.c.seconds, BATCH_SECONDS),
        *_histogram_columns(batches.c.claim_seconds, CLAIM_SECONDS),
    ]
    query: Select[Any] = (
        select(*columns).where(which).group_by(batches.c.dataset_id, batches.c.stage)
    )
    sums = {}
    for dataset_id, stage, *numbers in connection.execute(query):
        count, given_back, ok, failed = map(int, numbers[:4])
        claim_at = 6 + len(BATCH_SECONDS)
        sums[int(dataset_id), str(stage)] = BatchSums(
            batches=count,
            given_back=given_back,
            ok=ok,
            failed=failed,
            seconds=_histogram(numbers[4:claim_at]),
            claim=_histogram(numbers[claim_at:]),
        )
    return sums


def _histogram_columns(
    column: ColumnElement[float], bounds: Sequence[float]
) -> list[ColumnElement[Any]]:
    within = [func.sum(case((column <= bound, 1), else_=0)) for bound in bounds]
    return [func.count(column), func.coalesce(func.sum(column), 0.0), *within]


def _histogram(numbers: list[Any]) -> Histogram:
    return Histogram(int(numbers[0]), float(numbers[1]), [int(n) for n in numbers[2:]])


@dataclass(frozen=True)
class StageHistory:
    """What a stage of a dataset has done. Times are unix seconds; `busy_seconds` is the sum over
    its batches.

    `given_back` counts the batches that failed as a whole.
    """

    stage: str
    batches: int
    ok: int
    failed: int
    given_back: int
    busy_seconds: float
    first_at: float
    last_at: float
    versions: list[str]

    @property
    def rows_per_busy_second(self) -> float | None:
        """Rows that one process finishes in a second of this stage's batches."""
        rows = self.ok + self.failed
        return rows / self.busy_seconds if rows and self.busy_seconds else None


def stage_history(engine: Engine, dataset_id: int) -> list[StageHistory]:
    """What did each stage of a dataset do? In the order in which they began."""
    b = batches.c
    of_dataset = b.dataset_id == dataset_id
    sums = select(
        b.stage, func.count(), func.sum(b.n_ok), func.sum(b.n_failed), func.count(b.error),
        func.sum(b.seconds), func.min(b.started_at), func.max(b.started_at + b.seconds),
    ).where(of_dataset)  # fmt: skip
    pairs = select(b.stage, b.version).where(of_dataset).distinct().order_by(b.stage, b.version)
    with reading(engine) as connection:
        versions: dict[str, list[str]] = {}
        for stage, version in connection.execute(pairs):
            versions.setdefault(stage, []).append(version)
        rows = connection.execute(sums.group_by(b.stage).order_by(func.min(b.started_at))).all()
    history = []
    for stage, count, ok, failed, given_back, busy, first, last in rows:
        history.append(
            StageHistory(
                stage=stage,
                batches=int(count),
                ok=int(ok),
                failed=int(failed),
                given_back=int(given_back),
                busy_seconds=float(busy),
                first_at=float(first),
                last_at=float(last),
                versions=versions[stage],
            )
        )
    return history


def recent_rates(engine: Engine, dataset_id: int, stages: Sequence[str]) -> dict[str, float]:
    """How many rows a second each stage finished lately; without stages that finished none."""
    ended: dict[str, list[EndedBatch]] = {}
    at_work: list[EndedBatch] = []
    b = batches.c
    with reading(engine) as connection:
        time = now(connection)
        for stage in stages:
            query = select(b.started_at, b.seconds, b.n_ok + b.n_failed).where(
                b.dataset_id == dataset_id, b.stage == stage
            )
            rows = connection.execute(query.order_by(b.started_at.desc()).limit(MOST_BATCHES)).all()
            ended[stage] = [
                EndedBatch(max(0.0, time - started_at - seconds), seconds, int(count))
                for started_at, seconds, count in rows
            ]
            at_work += ended[stage]
            if len(rows) == MOST_BATCHES:  # what was before them is not known: no pause, then
                at_work.append(EndedBatch(max(e.ago for e in ended[stage]), math.inf, 0))
    rates = {stage: rate(of_stage, at_work) for stage, of_stage in ended.items()}
    return {stage: found for stage, found in rates.items() if found}
