"""How the values of a column are distributed: over all rows of a dataset, and by status.

Numbers are read in one pass for as many columns as fit in memory together, VALUES_AT_ONCE values of
8 bytes; more columns take more passes. Values that are not finite are counted apart and enter no
other number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, Engine, case, func, literal_column, select

from curate.configs.pipeline import Pipeline
from curate.configs.schema import Column, Level
from curate.db.engine import reading
from curate.db.export import HIDDEN, LAST, usual
from curate.db.expressions import quoted
from curate.db.filters.columns import columns_of
from curate.db.schema import rows_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

VALUES_AT_ONCE = 8_000_000
CHUNK = 20_000  # rows of a stream
BINS = 40
SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)
SKEWED = 20  # where the maximum is more than so many medians, bins grow by a factor
MOST_COMMON = 10  # values of a text
ALL = "all"  # in place of a status


@dataclass(frozen=True)
class Summary:
    """The finite values of some rows. `quantiles`, by the share of values below them, lie on the
    line between two values; they are empty when there is no value.
    """

    count: int
    low: float | None = None
    quantiles: Mapping[float, float] = field(default_factory=dict)
    high: float | None = None


@dataclass(frozen=True)
class Distribution:
    """A column of numbers: each status, and all rows as ALL, has a summary and a histogram.

    Bin n of a histogram holds the values from edges[n] up to edges[n + 1], which only the last one
    includes. From one edge to the next is always the same factor with `grows`, else the same width.
    """

    column: str
    rows: int
    nulls: int
    not_finite: int
    summaries: Mapping[str, Summary]
    edges: Sequence[float] = ()
    grows: bool = False
    histograms: Mapping[str, Sequence[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class CommonValue:
    """A text, and how many rows have it: in all, and kept."""

    value: str
    rows: int
    kept: int


@dataclass(frozen=True)
class TextDistribution:
    """A column of texts: its most common values, how many different ones there are."""

    column: str
    rows: int
    nulls: int
    different: int
    common: Sequence[CommonValue]


def known_columns(pipeline: Pipeline, level: Level) -> dict[str, Column]:
    """The columns of clips or videos whose distribution can be asked for."""
    known = columns_of(rows_of(level))
    return known | pipeline.columns() if level == "clip" else known


def usual_columns(pipeline: Pipeline, level: Level) -> list[str]:
    """The numbers that stages measure, in the order of the pipeline; no ids, no counts of order."""
    if level == "clip":
        names = [name for name in usual(pipeline) if name not in LAST]
    else:
        names = [name for step in pipeline.stages for name in step.columns if name not in HIDDEN]
    known = known_columns(pipeline, level)
    no_measures = {step.order.duplicate_of for step in pipeline.stages if step.order}
    no_measures |= {f"{step.name}_form" for step in pipeline.stages}
    return [n for n in names if n in known.keys() - no_measures and known[n].kind != "text"]


def distributions(
    engine: Engine,
    dataset_id: int,
    level: Level,
    columns: Mapping[str, Column],
    report: Callable[[int, int], None] = lambda done, of: None,
) -> Iterator[Distribution | TextDistribution]:
    """The distribution of each column, in order. Calls `report` with the rows read and all rows."""
    names = list(columns)
    numbers = [name for name in names if columns[name].kind != "text"]
    with reading(engine, "REPEATABLE READ") as connection:
        table = rows_of(level)
        count = select(func.count()).where(table.c.dataset_id == dataset_id)
        rows = int(connection.execute(count).scalar_one())
        at_once = max(1, VALUES_AT_ONCE // max(1, rows))
        passes = -(-len(numbers) // at_once)
        reader = _Reader(connection, level, dataset_id, rows, passes, report)
        read: dict[str, Distribution] = {}
        for name in names:
            if columns[name].kind == "text":
                yield reader.text(name)
                continue
            if name not in read:
                at = numbers.index(name)
                read = {d.column: d for d in reader.numbers(numbers[at : at + at_once], columns)}
            yield read.pop(name)


@dataclass
class _Reader:
    connection: Connection
    level: Level
    dataset_id: int
    rows: int
    passes: int
    report: Callable[[int, int], None]
    done: int = 0  # rows read, those of earlier passes too

    def numbers(
        self, names: Sequence[str], columns: Mapping[str, Column]
    ) -> Iterator[Distribution]:
        """The distributions of columns of numbers, read in one pass."""
        import numpy as np

        table = rows_of(self.level)
        chosen: list[ColumnElement[Any]] = [literal_column(quoted(name)) for name in names]
        query = select(table.c.status, *chosen).where(table.c.dataset_id == self.dataset_id)
        values = np.empty((len(names), self.rows))
        codes = np.empty(self.rows, np.uint8)
        statuses: dict[str, int] = {}
        nulls = [0] * len(names)
        at = 0
        stream = self.connection.execution_options(yield_per=CHUNK).execute(query)
        for chunk in stream.partitions():
            end = at + len(chunk)
            status, *read = zip(*chunk, strict=True)
            codes[at:end] = [statuses.setdefault(name, len(statuses)) for name in status]
            for n, column in enumerate(read):
                values[n, at:end] = np.array(column, float)  # None becomes NaN
                nulls[n] += column.count(None)
            self.done, at = self.done + len(chunk), end
            self.report(self.done, self.passes * self.rows)
        for name, of_column, no_value in zip(names, values, nulls, strict=True):
            finite = np.isfinite(of_column)
            usable, codes_of = of_column[finite], codes[finite]
            parts = {ALL: usable} | {s: usable[codes_of == code] for s, code in statuses.items()}
            not_finite = self.rows - len(usable) - no_value
            whole = columns[name].kind == "int"
            yield _distribution(name, (self.rows, no_value, not_finite), parts, whole)

    def text(self, name: str) -> TextDistribution:
        """The distribution of a column of texts."""
        table = rows_of(self.level)
        value: ColumnElement[Any] = literal_column(quoted(name))
        of_dataset = table.c.dataset_id == self.dataset_id
        counts = select(func.count(value), func.count(value.distinct())).select_from(table)
        known, different = self.connection.execute(counts.where(of_dataset)).one()
        kept = func.sum(case((table.c.status == "kept", 1), else_=0))
        common = select(value, func.count(), kept).select_from(table).group_by(value)
        common = common.where(of_dataset, value.is_not(None))
        common = common.order_by(func.count().desc(), value).limit(MOST_COMMON)
        found = [CommonValue(v, int(n), int(k)) for v, n, k in self.connection.execute(common)]
        return TextDistribution(name, self.rows, self.rows - known, int(different), found)


def _distribution(
    name: str, counts: tuple[int, int, int], parts: Mapping[str, Floats], whole: bool
) -> Distribution:
    """A distribution of the finite values of each status; `whole`: they are whole numbers."""
    import numpy as np

    summaries = {}
    for status, values in parts.items():
        if not len(values):
            summaries[status] = Summary(0)
            continue
        low, *quantiles, high = (float(v) for v in np.quantile(values, (0, *SHARES, 1)))
        summaries[status] = Summary(
            len(values), low, dict(zip(SHARES, quantiles, strict=True)), high
        )
    everything = summaries[ALL]
    if everything.low is None or everything.high is None:
        return Distribution(name, *counts, summaries)
    low, high = everything.low, everything.high
    grows = low > 0 and high > SKEWED * everything.quantiles[0.5]
    if whole and high - low < BINS:  # a bin each
        edges = np.arange(low, high + 2) - 0.5
    elif grows:
        edges = np.geomspace(low, high, BINS + 1)
        edges[0], edges[-1] = low, high  # not quite, by rounding
    else:
        share = np.linspace(0, 1, BINS + 1)
        # high - low may be beyond the largest number; where low equals high, rounding could make
        # edges fall
        edges = np.maximum.accumulate(low * (1 - share) + high * share)
    histograms = {s: np.histogram(v, edges)[0].tolist() for s, v in parts.items()}
    return Distribution(name, *counts, summaries, edges.tolist(), grows, histograms)
