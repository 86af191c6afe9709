"""The ledger of a clip or video: each filter in order with what it says of the row, and why.

The database evaluates the predicates, as it does when rows are saved.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Engine, literal_column, select

from curate.configs.pipeline import FilterStep, Pipeline, assignment
from curate.configs.schema import LEVELS, Level
from curate.db.engine import reading
from curate.db.filters.clauses import Clauses, number_text, read_clauses
from curate.db.filters.grammar import PredicateError
from curate.db.filters.sql import SMALLEST, columns_in, to_sql
from curate.db.reports.failures import retry_words
from curate.db.schema import KEEP, PICKED, clips, column_of, rows_of

PASSES, FAILS, NOT_MEASURED, NOT_REACHED = "passes", "fails", "not measured", "not reached"
Verdict = Literal["passes", "fails", "not measured", "not reached"]
"""`not measured`: the condition is NULL, since a column in it is; that does not pass.
`not reached`: the row stands before a stage that comes before the filter.
"""
Values = dict[str, Any]


@dataclass(frozen=True)
class JudgedClause:
    """One condition of a filter's AND: what it says of the row, whatever the others say."""

    where: str
    verdict: Verdict
    values: Values  # of the columns in it
    threshold: float | None  # where it compares one column with a number, other than by = and <>


@dataclass(frozen=True)
class LedgerLine:
    """A filter and its verdict on the row.

    `passes_with` is the predicate with its numbers moved just so far that the row passes; empty if
    the row passes, has not reached the filter, or passes by no other numbers.
    """

    filter: str
    level: Level
    where: str
    verdict: Verdict
    clauses: Sequence[JudgedClause]
    passes_with: str = ""


def ledger(engine: Engine, pipeline: Pipeline, level: Level, row_id: int) -> list[LedgerLine]:
    """What each filter says of an existing row, in order.

    A clip's ledger begins with the filters of its video, since a clip falls with its video. If the
    clip was picked by hand, PICKED stands before all filters and alone decides.
    """
    lines: list[LedgerLine] = []
    with reading(engine, "REPEATABLE READ") as connection:
        ids = {level: row_id}
        if level == "clip":
            clip = select(clips.c.video_id, clips.c.picked).where(clips.c.id == row_id)
            ids["video"], picked = connection.execute(clip).one()
            if picked:
                verdict: Verdict = "passes" if picked == KEEP else "fails"
                where = f"{PICKED} = '{KEEP}'"
                judged = JudgedClause(where, verdict, {PICKED: picked}, None)
                lines.append(LedgerLine(PICKED, level, where, verdict, [judged]))
        for of_level in LEVELS:
            if of_level in ids:
                lines += _LedgerWriter(connection, of_level, ids[of_level]).lines(pipeline)
    return lines


def changes(lines: Sequence[LedgerLine]) -> dict[str, str]:
    """The filters that the row does not pass, each with a predicate that it would pass; the
    predicate is empty where only a pipeline without the filter would let the row in.
    """
    out = [line for line in lines if line.verdict in (FAILS, NOT_MEASURED)]
    return {line.filter: line.passes_with for line in out}


def way_back(
    dataset: str, values: Mapping[str, Any], lines: Sequence[LedgerLine]
) -> Sequence[str] | None:
    """The command, without `curate`, that puts back a row that failed or that a filter dropped.

    None for other rows. `values` are those of the row, by column.
    """
    if values["status"] == "failed":
        return retry_words(dataset, values["stage"], values.get("reason"))
    moved = changes(lines)
    if values["status"] != "dropped" or values.get("reason") not in moved:
        return None
    if values["reason"] == PICKED:  # when the pick is undone, filters may drop it
        how = "undo" if list(moved) == [PICKED] else "keep"
        return ("pick", how, str(values["id"]), "--dataset", dataset)
    sets = [
        assignment(name, "where", where) if where else f"{name}.enabled=false"
        for name, where in moved.items()
    ]
    return ("refilter", dataset, *(word for one in sets for word in ("--set", one)))


@dataclass(frozen=True)
class _LedgerWriter:
    connection: Connection
    level: Level
    row_id: int

    def lines(self, pipeline: Pipeline) -> list[LedgerLine]:
        """What the filters of the level say of the row, in order."""
        filters = [step for step in pipeline.filters if step.level == self.level]
        names = sorted({name for step in filters for name in columns_in(step.where)})
        table = rows_of(self.level)
        columns: list[ColumnElement[Any]] = [column_of(table, name) for name in names]
        query = select(table.c.stage, *columns).where(table.c.id == self.row_id)
        stage, *cells = self.connection.execute(query).one()
        values = dict(zip(names, cells, strict=True))
        met = pipeline.filters_before(stage, self.level)
        return [self.line(step, values, step in met) for step in filters]

    def line(self, step: FilterStep, values: Values, met: bool) -> LedgerLine:
        """What a filter says of the row; `met`: it stands behind the filter."""
        parts = read_clauses(step.where)
        wheres: dict[str, float | None] = {
            f'"{c.column}" {c.op} {number_text(c.number)}': c.number for c in parts.movable
        }
        wheres |= dict.fromkeys(parts.texts)
        truth, *truths = self._truths([step.where, *wheres])
        judged = []
        for (where, number), holds in zip(wheres.items(), truths, strict=True):
            own = {name: values[name] for name in sorted(columns_in(where))}
            shown = where if number is None else where.replace('"', "")
            judged.append(JudgedClause(shown, _verdict(holds, own), own, number))
        verdict = _verdict(truth, {n: v for clause in judged for n, v in clause.values.items()})
        passes_with = ""
        if met and not truth:
            with suppress(PredicateError):  # too long now
                where = _letting_in(parts, values)
                passes_with = where if self._truths([where])[0] else ""
        verdict = verdict if met else "not reached"
        return LedgerLine(step.name, self.level, step.where, verdict, judged, passes_with)

    def _truths(self, predicates: Sequence[str]) -> list[bool | None]:
        """What the database makes of predicates: true, false, or None for NULL."""
        table, dialect = rows_of(self.level), self.connection.dialect.name
        columns: list[ColumnElement[Any]] = [
            literal_column(f"({to_sql(where, dialect)})").label(f"truth_{number}")
            for number, where in enumerate(predicates)
        ]
        query = select(*columns).select_from(table).where(table.c.id == self.row_id)
        return [None if v is None else bool(v) for v in self.connection.execute(query).one()]


def _letting_in(parts: Clauses, values: Values) -> str:
    """The predicate with its thresholds moved just so far that values pass them, and with
    `OR column IS NULL` behind those of columns that were not measured.
    """
    numbers: dict[int, float] = {}
    not_measured = False
    for n, clause in enumerate(parts.movable):
        value = values[clause.column]
        not_measured |= value is None
        with suppress(ValueError):  # a value that no predicate may hold
            if value is not None and not _HOLDS[clause.op](value, clause.number):
                numbers[n] = float(number_text(_nearest_passed(value, clause.op)))
    if not not_measured:
        return parts.moved(numbers)
    joined = [f"({text})" for text in parts.texts]
    for n, clause in enumerate(parts.movable):
        column = clause.column if clause.column.islower() else f'"{clause.column}"'
        where = f"{column} {clause.op} {number_text(numbers.get(n, clause.number))}"
        or_null = f"({where} OR {column} IS NULL)"
        joined.append(or_null if values[clause.column] is None else where)
    return " AND ".join(joined)


_HOLDS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def _nearest_passed(value: float, op: str) -> float:
    """The number that a value passes, and as few others as possible."""
    if op in ("<=", ">="):
        return value
    sign = 1 if op == "<" else -1
    if isinstance(value, int):
        return value + sign
    number = math.nextafter(value, sign * math.inf)
    return number if abs(number) >= SMALLEST else sign * SMALLEST


def _verdict(truth: bool | None, values: Values) -> Verdict:
    if truth:
        return "passes"
    return "not measured" if truth is None and None in values.values() else "fails"
