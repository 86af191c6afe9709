"""Filters: named predicates over rows, checked when a dataset is enqueued, written as SQL when rows
are saved.

What a predicate may say, and what it means on both engines: `curate.db.filters.grammar`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from sqlalchemy import (
    ColumnElement,
    Float,
    Integer,
    Table,
    Text,
    collate,
    column,
    literal_column,
    true,
)

from curate.configs.errors import FilterError, UsageError
from curate.configs.pipeline import Catalog, FilterStep, Pipeline, StageStep, written_level
from curate.configs.schema import Column, Kind, Level
from curate.db.schema import rows_of

# what a row has before any stage has seen it
_BASE: dict[Level, tuple[str, ...]] = {
    "video": ("path", "relpath"),
    "clip": ("video_id", "clip_index", "text"),
}
_KINDS: tuple[tuple[type, Kind], ...] = ((Integer, "int"), (Float, "float"), (Text, "text"))


def to_sql(where: str, dialect: str) -> str:
    """The SQL that runs for a predicate that was checked: for the engine `sqlite` or `postgresql`.

    It names columns without a table. It holds `%` as it is, so give it to `literal_column`, not to
    the driver.
    """
    from curate.db.filters import sql as predicate_sql

    return predicate_sql.written(where, "sqlite" if dialect == "sqlite" else "postgresql")


def check(where: str, name: str, columns: Mapping[str, Column]) -> None:
    """Raises FilterError, which says why, unless `where` is a predicate over these columns."""
    from curate.db.filters import grammar as predicates
    from curate.db.filters import sql as predicate_sql

    try:
        predicate_sql.write(where, "sqlite", columns)
    except predicates.PredicateError as error:
        raise FilterError(name=name, why=error, predicate=where) from None


def check_pipeline(pipeline: Pipeline, catalog: Catalog) -> None:
    """Check each filter against the columns that are there when it decides.

    Raises FilterError: for what `check` refuses, and for a column that no enabled stage before the
    filter writes, naming the stage that would; such a filter would drop everything.
    """
    from curate.db.filters import grammar as predicates
    from curate.db.filters import sql as predicate_sql

    for index, step in enumerate(pipeline.steps):
        if not isinstance(step, FilterStep):
            continue
        known = _known(pipeline, index, step.level)
        try:
            predicate_sql.write(step.where, "sqlite", known)
        except predicates.UnknownColumnError as error:
            why = _missing(error.name, step, pipeline, catalog) or error
            raise FilterError(name=step.name, why=why, predicate=step.where) from None
        except predicates.PredicateError as error:
            raise FilterError(name=step.name, why=error, predicate=step.where) from None


def _known(pipeline: Pipeline, index: int, level: Level) -> dict[str, Column]:
    base = columns_of(rows_of(level))
    known = {name: base[name] for name in _BASE[level]}
    for step in pipeline.steps[:index]:
        if isinstance(step, StageStep) and written_level(step.spec) == level:
            known |= step.spec.columns
    return known


def _missing(name: str, step: FilterStep, pipeline: Pipeline, catalog: Catalog) -> str:
    """Why a column that some stage writes is not there yet; empty when no stage writes it."""
    writers = {s: written_level(c) for s, c in catalog.items() if name in c.columns}
    here = [s for s, level in writers.items() if level == step.level]
    if not here and writers:
        where = "before" if step.level == "clip" else "behind"
        maker = pipeline.maker("clip")
        return (
            f"{name} is a column of {next(iter(writers.values()))}s; "
            f"put the filter {where} {maker.name if maker else 'the clips'}"
        )
    if not here:
        return ""
    stage = next((s for s in here if pipeline.has(s)), None)
    if stage:
        return f"{name} is written by stage {stage}, which comes later; put the filter behind it"
    return (
        f"{name} is written by stage {here[0]}, which is not enabled, so everything would be dropped; put"
        f" `- stage: {here[0]}` before the filter, or if it is there: --set {here[0]}.enabled=true"
    )


def columns_of(table: Table) -> dict[str, Column]:
    """The columns of a table that a predicate can be about, with their kinds."""
    kinds = {
        c.name: next((k for t, k in _KINDS if isinstance(c.type, t)), None) for c in table.columns
    }
    return {name: Column(kind, f"a column of {table.name}") for name, kind in kinds.items() if kind}


def check_where(where: str, columns: Mapping[str, Column]) -> None:
    """`check` for the option --where."""
    check(where, "--where", columns)


def chosen(where: str, columns: Mapping[str, Column], dialect: str) -> ColumnElement[bool]:
    """The option --where, checked, as a condition of a query; true for an empty one. Raises
    FilterError.
    """
    if not where:
        return true()
    check_where(where, columns)
    return literal_column(f"({to_sql(where, dialect)})")


def check_columns(names: Sequence[str], columns: Mapping[str, Column]) -> list[str]:
    """The names, stripped. Raises UsageError for one that is not there or comes twice."""
    wanted = [name.strip() for name in names]
    for name in wanted:
        _check_name("--columns", name, columns)
    if len(set(wanted)) < len(wanted):
        twice = next(n for n in wanted if wanted.count(n) > 1)
        raise UsageError(what=f"--columns: {twice} is there twice")
    return wanted


def _check_name(option: str, name: str, columns: Mapping[str, Column]) -> None:
    from curate.db.filters.grammar import unknown

    if name not in columns:
        raise UsageError(what=f"{option}: {unknown(name, columns)}")


_SORT_KEY = re.compile(r"\s*(\w+)(?:\s+(asc|desc))?\s*", re.IGNORECASE | re.ASCII)


def check_sort(
    sort: str, columns: Mapping[str, Column]
) -> list[tuple[str, Literal["asc", "desc"]]]:
    """The keys of a text such as ``aes desc, path``. Raises UsageError for a column that is not
    there.
    """
    keys: list[tuple[str, Literal["asc", "desc"]]] = []
    for part in sort.split(","):
        found = _SORT_KEY.fullmatch(part)
        if not found:
            raise UsageError(
                what=f"--sort: write COLUMN or COLUMN desc, separated by commas, not {part.strip()!r}"
            )
        _check_name("--sort", found[1], columns)
        keys.append((found[1], "desc" if (found[2] or "").lower() == "desc" else "asc"))
    return keys


def order_by(sort: str, columns: Mapping[str, Column], dialect: str) -> list[ColumnElement[Any]]:
    """The ORDER BY of a `check_sort` text, the same on both engines: NULL last, text by its bytes."""
    terms: list[ColumnElement[Any]] = []
    for name, direction in check_sort(sort, columns):
        bytewise = dialect == "postgresql" and columns[name].kind == "text"
        term = collate(column(name), "C") if bytewise else column(name)
        terms.append((term.desc() if direction == "desc" else term.asc()).nulls_last())
    return terms
