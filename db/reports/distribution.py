"""How the values of a column are distributed: over all rows of a dataset, and by status.

Numbers are read in one pass for as many columns as fit in memory together, VALUES_AT_ONCE values of
8 bytes; more columns take more passes. Values that are not finite are counted apart and enter no
other number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Connection, Engine, case, func, literal_column, select

from curate.configs.pipeline import Pipeline
from curate.configs.schema import Column, Level
from curate.db.engine import reading
from curate.db.export import HIDDEN, LAST, usual
from curate.db.expressions import quoted
from curate.db.filters.columns import columns_of
from curate.db.reports.histogram import histogram, quantiles
from curate.db.schema import column_of, rows_of

VALUES_AT_ONCE = 8_000_000
CHUNK = 20_000  # rows of a stream
BINS = 40  # as many letters fit a narrow terminal
MOST_COMMON = 10  # values of a text
ALL = "all"  # in place of a status


@dataclass(frozen=True)
class Summary:
    """The finite values of some rows. `quantiles`, by the share of values below them, from the
    smallest at 0 to the largest at 1, lie on the line between two values; they are empty when there
    is no value.
    """

    count: int
    quantiles: Mapping[float, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Distribution:
    """A column of numbers: each status, and all rows as ALL, has a summary and a histogram.

    Bin n of a histogram holds the values from edges[n] up to edges[n + 1], which only the last one
    includes. With `log` the edges grow by a factor; the first bin then holds all that is smaller
    than edges[1], zeros too.
    """

    column: str
    rows: int
    nulls: int
    not_finite: int
    summaries: Mapping[str, Summary]
    edges: Sequence[float] = ()
    log: bool = False
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


def measures(pipeline: Pipeline, level: Level) -> dict[str, Column]:
    """The numbers that stages measure, in the order of the pipeline; no ids, no counts of order."""
    if level == "clip":
        names = [name for name in usual(pipeline) if name not in LAST]
    else:
        names = [name for step in pipeline.stages for name in step.columns if name not in HIDDEN]
    known = {n: c for n, c in known_columns(pipeline, level).items() if c.kind != "text"}
    no_measures = {step.order.duplicate_of for step in pipeline.stages if step.order}
    no_measures |= {f"{step.name}_form" for step in pipeline.stages}
    return {n: known[n] for n in names if n in known.keys() - no_measures}


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
                yield reader.text(name, None if columns[name].counted else MOST_COMMON)
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
        parts = {ALL: np.ones(self.rows, np.bool_)}
        parts |= {status: codes == code for status, code in statuses.items()}
        for name, of_column, no_value in zip(names, values, nulls, strict=True):
            of_column[np.isinf(of_column)] = np.nan
            measured = ~np.isnan(of_column)
            summaries = {
                status: Summary(int(np.count_nonzero(measured & rows)), quantiles(of_column[rows]))
                for status, rows in parts.items()
            }
            odd = self.rows - no_value - summaries[ALL].count
            found = Distribution(name, self.rows, no_value, odd, summaries)
            binned = histogram(of_column, columns[name].kind == "int", BINS)
            if binned:
                counts = {status: binned.counts(rows) for status, rows in parts.items()}
                found = replace(
                    found, edges=binned.edges.tolist(), log=binned.log, histograms=counts
                )
            yield found

    def text(self, name: str, most: int | None) -> TextDistribution:
        """The distribution of a column of texts, with so many of its values; None: with all."""
        table = rows_of(self.level)
        value = column_of(table, name)
        of_dataset = table.c.dataset_id == self.dataset_id
        counts = select(func.count(value), func.count(value.distinct())).select_from(table)
        known, different = self.connection.execute(counts.where(of_dataset)).one()
        kept = func.sum(case((table.c.status == "kept", 1), else_=0))
        common = select(value, func.count(), kept).select_from(table).group_by(value)
        common = common.where(of_dataset, value.is_not(None))
        common = common.order_by(func.count().desc(), value).limit(most)
        found = [CommonValue(v, int(n), int(k)) for v, n, k in self.connection.execute(common)]
        return TextDistribution(name, self.rows, self.rows - known, int(different), found)
