"""Writes the scores of rows and moves them to their next stage, in one UPDATE on both engines.

A second UPDATE in the same transaction would double the cost on Postgres: another version of each
row, entries in every index, and another check of its foreign keys.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Connection,
    Float,
    FromClause,
    Text,
    Update,
    bindparam,
    column,
    func,
    literal_column,
    select,
    table,
    update,
)
from sqlalchemy.types import TypeEngine

from curate.configs.pipeline import Pipeline
from curate.configs.schema import Column, Level
from curate.db.filters.verdict import status_columns, verdict_of
from curate.db.home import home_of, stored_path
from curate.db.queue.leases import FREE_COLUMNS
from curate.db.schema import rows_of

ROUTE_SEPARATOR = ">"  # between stages in `return_to`

Kinds = tuple[tuple[str, str], ...]  # the columns that a statement writes, each with its kind

# the columns of its position that placing a row writes
_PLACED = ("stage", "return_to", "reason", "status", "error", *FREE_COLUMNS)
_TYPES: dict[str, TypeEngine[Any]] = {"float": Float(53), "int": BigInteger(), "text": Text()}
_CACHED_STATEMENTS = 256
# by the id of a pipeline, and what else they are made for; each with that pipeline, so that no
# other can get its id
_statements: OrderedDict[tuple[object, ...], tuple[Pipeline, Update]] = OrderedDict()


def write_and_place(
    connection: Connection,
    level: Level,
    columns: Mapping[str, Column],
    scores: Mapping[int, Mapping[str, Any]],
    pipeline: Pipeline,
    route: tuple[str, str | None],
) -> None:
    """Write each row's scores in `columns`, move it along the route, and free it.

    A route is the stage that the row waits for (or DONE), and where it goes from there unless that
    is the stage that follows. The row gets the verdict of all filters before the former.
    """
    stage, then = route
    dialect = connection.dialect.name
    by_names: dict[tuple[str, ...], list[int]] = {}
    for row_id, values in scores.items():
        by_names.setdefault(tuple(sorted(values)), []).append(row_id)
    for names, ids in by_names.items():
        kinds = tuple((name, columns[name].kind) for name in names)
        key = (id(pipeline), level, kinds, stage, dialect)
        if key not in _statements:  # making one costs as much as running it
            made = placing_statement(pipeline, level, kinds, stage, dialect)
            _statements[key] = pipeline, made
        _statements.move_to_end(key)
        while len(_statements) > _CACHED_STATEMENTS:
            _statements.popitem(last=False)
        rows = [ids, *([scores[i][name] for i in ids] for name in names)]
        if "path" in names:
            at, home = names.index("path") + 1, home_of(connection.dialect)
            rows[at] = [path and stored_path(path, home) for path in rows[at]]
        parameters: dict[str, Any] = {f"c{n}": values for n, values in enumerate(rows)}
        if dialect == "sqlite":
            parameters = {"rows": json.dumps(list(zip(*rows, strict=True)))}
        connection.execute(_statements[key][1], {"then_to": then, **parameters})


def placing_statement(
    pipeline: Pipeline, level: Level, kinds: Kinds, stage: str, dialect: str
) -> Update:
    """The UPDATE that writes columns of rows and moves the rows to a stage."""
    new: FromClause = _new_values(kinds, dialect)
    names = ["id", *(name for name, _ in kinds), *_PLACED, *(["picked"] if level == "clip" else [])]
    target = table(rows_of(level).name, *map(column, names))
    if pipeline.filters:
        rows = _rows_as_written(pipeline, level, kinds, stage, new)
        verdict = verdict_of(pipeline, stage, level, dialect, rows)
        new = select(rows, verdict.label("verdict")).subquery("judged")
        verdict = new.c.verdict
    else:
        verdict = verdict_of(pipeline, stage, level, dialect, target)
    values = {
        **{name: new.c[name] for name, _ in kinds},
        "stage": stage,
        "return_to": bindparam("then_to", type_=Text()),
        **status_columns(verdict, stage),
        "error": None,
        **FREE_COLUMNS,
    }
    return update(target).where(target.c.id == new.c.row_id).values(values)


def _new_values(kinds: Kinds, dialect: str) -> FromClause:
    """The ids and new values as rows: from an array per column on Postgres, from JSON on SQLite."""
    types: list[tuple[str, TypeEngine[Any]]] = [
        ("row_id", BigInteger()),
        *((name, _TYPES[kind]) for name, kind in kinds),
    ]
    if dialect == "sqlite":
        rows = func.json_each(bindparam("rows")).table_valued("value", name="rows")
        values = [
            func.json_extract(rows.c.value, literal_column(f"'$[{n}]'")).label(name)
            for n, (name, _) in enumerate(types)
        ]
        return select(*values).subquery("new")
    arrays = [bindparam(f"c{n}", type_=ARRAY(kind)) for n, (_, kind) in enumerate(types)]
    columns = [column(name, kind) for name, kind in types]
    return func.unnest(*arrays).table_valued(*columns).render_derived(name="new")


def _rows_as_written(
    pipeline: Pipeline, level: Level, kinds: Kinds, stage: str, new: FromClause
) -> FromClause:
    """The columns that the filters before a stage read, with new values in place of old ones."""
    from curate.db.filters.sql import columns_in  # loads sqlglot

    written = {name for name, _ in kinds}
    filters = pipeline.filters_before(stage, level)
    # a clip is dropped with its video, and when it was picked to drop
    read = {"video_id", "picked"} if level == "clip" else set()
    read = read.union(*(columns_in(step.where) for step in filters))
    others = sorted(read - written)
    old = table(rows_of(level).name, column("id"), *[column(name) for name in others]).alias("old")
    chosen = [
        new.c.row_id,
        *[new.c[name] for name in sorted(written)],
        *[old.c[name] for name in others],
    ]
    return select(*chosen).join_from(new, old, old.c.id == new.c.row_id).subquery("rows")
