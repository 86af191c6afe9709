"""Checks predicates: those of filters when a dataset is enqueued, and the option --where.

What a predicate may say, and what it means on both engines: `curate.db.filters.grammar`.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import ColumnElement, literal_column, true

from curate.configs.errors import FilterError
from curate.configs.pipeline import Catalog, FilterStep, Pipeline, StageStep, columns_for
from curate.configs.schema import LEVELS, Column, Level
from curate.db.filters.columns import columns_of
from curate.db.filters.grammar import PredicateError, UnknownColumnError
from curate.db.filters.sql import to_sql, write
from curate.db.schema import PICKED, rows_of

# what a row has before any stage has seen it
_BASE: dict[Level, tuple[str, ...]] = {
    "video": ("path", "relpath"),
    "clip": ("video_id", "clip_index", "text"),
}


def check(where: str, name: str, columns: Mapping[str, Column]) -> None:
    """Raise FilterError, which says why, unless `where` is a predicate over these columns."""
    try:
        write(where, "sqlite", columns)
    except PredicateError as error:
        raise FilterError(name=name, why=error, predicate=where) from None


def check_pipeline(pipeline: Pipeline, catalog: Catalog) -> None:
    """Check each filter against the columns that are there when it decides.

    Raises FilterError: for what `check` refuses, and for a column that no enabled stage before the
    filter writes, naming the stage that would; such a filter would drop everything.
    """
    known: dict[Level, dict[str, Column]] = {}
    for level, names in _BASE.items():
        columns = columns_of(rows_of(level))
        known[level] = {name: columns[name] for name in names}
    for step in pipeline.steps:
        if isinstance(step, StageStep):
            for level, columns in known.items():
                columns.update(columns_for(step.spec, level))
            continue
        if step.name == PICKED:
            taken = "picked is the reason of clips that were picked by hand; call it otherwise"
            at_name = {"step": step.name, "option": "filter"}
            raise FilterError(name=step.name, why=taken, predicate=step.where, **at_name)
        try:
            write(step.where, "sqlite", known[step.level])
        except PredicateError as error:
            why: object = error
            if isinstance(error, UnknownColumnError):
                why = _missing(error.name, step, pipeline, catalog) or error
            fields = {"step": step.name, "option": "where"}
            raise FilterError(name=step.name, why=why, predicate=step.where, **fields) from None


def _missing(name: str, step: FilterStep, pipeline: Pipeline, catalog: Catalog) -> str:
    """Why a column that some stage writes is not there yet; empty when no stage writes it."""
    writers = {
        s: level for s, c in catalog.items() for level in LEVELS if name in columns_for(c, level)
    }
    stages = [s for s, level in writers.items() if level == step.level]
    if not stages and writers:
        where = "before" if step.level == "clip" else "behind"
        maker = pipeline.maker("clip")
        return (
            f"{name} is a column of {next(iter(writers.values()))}s; "
            f"put the filter {where} {maker.name if maker else 'the clips'}"
        )
    if not stages:
        return ""
    later = next((s for s in stages if s in pipeline.by_name), None)
    if later:
        return f"{name} is written by stage {later}, which comes later; put the filter behind it"
    stage = stages[0]
    return (
        f"{name} is written by stage {stage}, which is not enabled, so everything would be "
        f"dropped; put `- stage: {stage}` before the filter, or if it is there: "
        f"--set {stage}.enabled=true"
    )


def check_where(where: str, columns: Mapping[str, Column]) -> None:
    """`check` for the option --where."""
    check(where, "--where", columns)


def condition_of(where: str, columns: Mapping[str, Column], dialect: str) -> ColumnElement[bool]:
    """The option --where, checked, as a condition of a query; true for an empty one. Raises
    FilterError.
    """
    if not where:
        return true()
    check_where(where, columns)
    return literal_column(f"({to_sql(where, dialect)})")
