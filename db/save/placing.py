"""Writes scores and moves rows on by one UPDATE, on Postgres.

A row that is written twice in a transaction costs Postgres twice: another version of it, entries in
every index, and its foreign keys are checked again. SQLite overwrites in place and takes simpler
statements (curate.db.save.batch).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Connection,
    Float,
    FromClause,
    Subquery,
    Text,
    Update,
    bindparam,
    column,
    func,
    null,
    select,
    table,
    update,
)
from sqlalchemy.types import TypeEngine

from curate.configs.pipeline import Pipeline, StageStep
from curate.db.filters import check as filters
from curate.db.filters.verdict import judged, verdict_of
from curate.db.queue.leases import released
from curate.db.schema import clips, rows_of

_TYPES: dict[str, TypeEngine[Any]] = {"float": Float(53), "int": BigInteger(), "text": Text()}
_MOST = 256
_made: OrderedDict[tuple[object, ...], tuple[Pipeline, Update]] = OrderedDict()


def write_and_place(
    connection: Connection,
    step: StageStep,
    scores: Mapping[int, Mapping[str, Any]],
    pipeline: Pipeline,
    place: str,
    then: str | None,
) -> None:
    """Give each row its scores and put it before stage `place`, with the verdict of all filters
    before that.
    """
    groups: dict[tuple[str, ...], list[int]] = {}
    for row_id, values in scores.items():
        groups.setdefault(tuple(sorted(values)), []).append(row_id)
    for columns, ids in groups.items():
        arrays = {f"v_{name}": [scores[i][name] for i in ids] for name in columns}
        moved = made_for(
            pipeline, (step.name, columns, place), partial(_build, step, columns, pipeline, place)
        )
        connection.execute(moved, {"row_ids": ids, "then_to": then, **arrays})


def made_for(pipeline: Pipeline, key: tuple[object, ...], make: Callable[[], Update]) -> Update:
    """The statement that belongs to a pipeline and a key, made once: making one costs as much as a
    query.
    """
    whole = (id(pipeline), *key)
    if whole not in _made:  # the pipeline is kept with it, so that its id is not another's
        _made[whole] = pipeline, make()
    _made.move_to_end(whole)
    while len(_made) > _MOST:
        _made.popitem(last=False)
    return _made[whole][1]


def _build(step: StageStep, columns: Sequence[str], pipeline: Pipeline, place: str) -> Update:
    name = rows_of(step.level).name
    found = _found(step, columns)
    new: FromClause = found
    verdict: ColumnElement[Any] = null()
    if pipeline.filters:
        rows = _as_it_will_be(step, columns, pipeline, found)
        judge = verdict_of(
            pipeline, place, step.level, "postgresql", rows.c.get("video_id", clips.c.video_id)
        )
        new = select(rows, judge.label("verdict")).subquery("judged")
        verdict = new.c.verdict
    position = {
        "stage": place,
        "return_to": bindparam("then_to", type_=Text()),
        **judged(verdict, place),
        "error": None,
    }
    values = {**{c: new.c[c] for c in columns}, **position, **released()}
    target = table(name, column("id"), *[column(c) for c in values])
    return update(target).where(target.c.id == new.c.row_id).values(values)


def _found(step: StageStep, columns: Sequence[str]) -> FromClause:
    """The new values as rows: one array a column."""
    kinds = [_TYPES[step.spec.columns[c].kind] for c in columns]
    arrays = [
        bindparam(f"v_{c}", type_=ARRAY(kind)) for c, kind in zip(columns, kinds, strict=True)
    ]
    named = [column(c, kind) for c, kind in zip(columns, kinds, strict=True)]
    ids = bindparam("row_ids", type_=ARRAY(BigInteger()))
    return (
        func.unnest(ids, *arrays)
        .table_valued(column("row_id", BigInteger()), *named)
        .render_derived(name="found")
    )


def _as_it_will_be(
    step: StageStep, columns: Sequence[str], pipeline: Pipeline, found: FromClause
) -> Subquery:
    """Every column that a predicate may name, with the new values in the place of the old."""
    there = set(filters.columns_of(rows_of(step.level))) | (
        set(pipeline.columns()) if step.level == "clip" else set()
    )
    others = sorted(there - set(columns) - {"id"})
    old = table(rows_of(step.level).name, column("id"), *[column(c) for c in others]).alias("old")
    chosen = [found.c.row_id, *[found.c[c] for c in columns], *[old.c[c] for c in others]]
    return select(*chosen).join_from(found, old, old.c.id == found.c.row_id).subquery("rows")
