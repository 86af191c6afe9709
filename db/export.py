"""Which clips an export writes, with which columns, in which order: a query, and its rows."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from sqlalchemy import ColumnElement, Engine, Select, case, column, func, select

from curate.configs.errors import FilesAmiss, UsageError
from curate.configs.pipeline import Pipeline
from curate.configs.schema import Column
from curate.db.balance import WEIGHT, Balance, Value, group_sizes
from curate.db.datasets import has_picks
from curate.db.engine import reading
from curate.db.expressions import random_order
from curate.db.filters.check import check_where
from curate.db.filters.columns import check_columns, check_sort, columns_of, order_by
from curate.db.schema import clips, videos
from curate.db.selection import (
    CAPTION_FIELDS,
    DATASET,
    PATHS,
    Selection,
    balance_of,
    chosen_clips,
    narrowed,
    value_of,
)

CHUNK = 5000

# the seed's columns, in its order; score columns follow
SEED = (
    "path",
    "text",
    "num_frames",
    "fps",
    "height",
    "width",
    "aspect_ratio",
    "resolution",
    "text_len",
)
LAST = ("source", "start_seconds", "end_seconds", "clip_id")
# how the line works inside; hashes and pts can still be asked for with --columns
POSITION = (
    "stage",
    "owner",
    "lease_until",
    "claim_size",
    "attempts",
    "return_to",
    "dataset_id",
    "id",
)
HIDDEN = (
    "hash_first",
    "hash_middle",
    "hash_first_mirrored",
    "hash_middle_mirrored",
    "hash_views",
    "dedup_seq",
    "text_seq",
    "semantic_seq",
    "concept_fit",
    "start_pts",
    "end_pts",
    "start_frame",
    "num_clips",
    "side",
)
_ADDED = {
    "source": Column("text", "path of the video"),
    "clip_id": Column("int", "id of the clip in the database"),
    CAPTION_FIELDS: Column("text", "fields of the caption that is the text, as JSON"),
}


@dataclass(frozen=True)
class FileCheck:
    """What becomes of clips whose file is missing or of another size.

    drop: they are left out. keep: they are written. fail: nothing is. `look` gives the state of
    some files, each a path on disk or a URL with the size it should have.
    """

    look: Callable[[Iterable[tuple[str, int | None]]], Mapping[tuple[str, int | None], str]]
    amiss: Literal["drop", "keep", "fail"] = "drop"


AMISS = ("missing", "resized")  # states of files that are not as they should be


@dataclass(frozen=True)
class ExportPlan:
    """A checked selection: the names to write, the kinds of columns, which names come out of the
    input table, and the query. Its rows hold the other names in order, then those of `also`, the
    size that the file of `path` should have, whether that is the clip's own, and last
    `videos.extra`.
    """

    names: Sequence[str]
    kinds: Mapping[str, Column]
    extras: frozenset[str]
    query: Select[Any]
    check: FileCheck | None = None
    also: Sequence[str] = ()
    limit: int | None = None
    balance: Balance | None = None

    @property
    def read(self) -> list[str]:
        """The names whose values the rows have, in order."""
        return [*self.names, *self.also]


class ExportRow(NamedTuple):
    """A clip: the values of `ExportPlan.read`; where `path` is among them its file, as it is called
    on disk or at its URL; the bytes of that; whether it is the clip's own, not its whole source.
    """

    values: list[Any]
    file: str
    size: int | None
    own_file: bool


@dataclass
class Exported:
    """What an export has written. `not_utf8` counts the rows with a path that is not UTF-8 on
    disk.
    """

    columns: Sequence[str]
    rows: int = 0
    not_utf8: int = 0
    files: Counter[str] = field(default_factory=Counter)  # clips by the state of their file
    amiss: str = ""  # a file that is missing or of another size


def available(pipeline: Pipeline) -> dict[str, Column]:
    """The columns that an export, its --where and its --sort can be about."""
    known = columns_of(clips) | pipeline.columns() | _ADDED
    return {name: c for name, c in known.items() if name not in POSITION}


def known_columns(pipelines: Sequence[Pipeline]) -> dict[str, Column]:
    """The same of several datasets, with the name of each."""
    known = {name: c for pipeline in pipelines for name, c in available(pipeline).items()}
    if len(pipelines) > 1:
        known[DATASET] = Column("text", "name of the dataset")
    return known


def usual(pipeline: Pipeline, picks: bool = False) -> list[str]:
    """The columns written when none are asked for: the seed's, the scores of the pipeline, `picked`
    where clips were picked by hand, then the span.
    """
    return _usual([pipeline], picks)


def _usual(pipelines: Sequence[Pipeline], picks: bool) -> list[str]:
    forms = {f"{step.name}_form" for pipeline in pipelines for step in pipeline.stages}
    others = {*SEED, *LAST, *HIDDEN, *POSITION, *forms}
    scores = dict.fromkeys(
        name for pipeline in pipelines for name in pipeline.columns() if name not in others
    )
    several = [DATASET] if len(pipelines) > 1 else []
    return [*SEED, *scores, *(["picked"] if picks else []), *several, *LAST]


def plan(engine: Engine, dataset_id: int, pipeline: Pipeline, selection: Selection) -> ExportPlan:
    """Check a selection and make its query. Raises UsageError or FilterError for a wrong column or
    predicate.
    """
    return plan_several(engine, [(dataset_id, pipeline)], selection)


def plan_several(
    engine: Engine,
    chosen: Sequence[tuple[int, Pipeline]],
    selection: Selection,
    also: Sequence[str] = (),
) -> ExportPlan:
    """The same of several datasets by id, one after the other. A column that one of them does not
    have is NULL in its clips. Columns of `also` are read besides those that are written.
    """
    ids = [dataset_id for dataset_id, _ in chosen]
    pipelines = [pipeline for _, pipeline in chosen]
    known = known_columns(pipelines)
    found = dict.fromkeys(name for i in ids for name in extra_names(engine, i))
    extras = [name for name in found if name not in known]
    kinds = _check(known, selection, extras)
    if selection.columns:
        names = [name.strip() for name in selection.columns]
    else:
        every_clip_is_kept = tuple(selection.statuses) == ("kept",)
        with reading(engine) as connection:
            picks = any(has_picks(connection, i) for i in ids)
        names = [
            *_usual(pipelines, picks),
            *([CAPTION_FIELDS] if any(s.fields for p in pipelines for s in p.stages) else ()),
            *(() if every_clip_is_kept else ("status", "reason")),
            *extras,
        ]
    if selection.split and "side" not in names:
        names.append("side")
    names += [WEIGHT] if selection.balance and selection.sample is None else []
    hidden = [name for name in also if name not in names]
    stored: list[ColumnElement[Any]] = [
        value_of(n, selection).label(n)
        for n in (*names, *hidden, "_size", "_own", "_extra")
        if n not in extras
    ]
    dialect = engine.dialect.name
    keys = order_by(selection.sort, known, dialect) if selection.sort else []
    if selection.shuffle:
        keys.append(random_order(f"order/{selection.seed}/", column("_place")))
    if len(ids) > 1:
        keys.append(case(*[(column("dataset_id") == i, n) for n, i in enumerate(ids)]))
    order = (*keys, column("video_id"), column("clip_index"))
    every = chosen_clips(ids, known, selection, dialect)
    balance = balance_of(engine, every, selection) if selection.balance else None
    query = narrowed(every, selection, stored, balance, dialect).order_by(*order)
    if selection.side is not None:
        query = query.where(value_of("side", selection) == selection.side)
        if selection.limit is not None:  # of all sides
            first = narrowed(every, selection, [column("clip_id")], balance, dialect)
            first = first.order_by(*order).limit(selection.limit)
            query = query.where(column("clip_id").in_(first))
    kinds[WEIGHT] = Column("float", "so much a clip counts for the balance", 0)
    return ExportPlan(
        names, kinds, frozenset(extras), query, None, hidden, selection.limit, balance
    )


def groups_of(
    engine: Engine, chosen: Sequence[tuple[int, Pipeline]], selection: Selection, name: str
) -> dict[Value, int]:
    """How many of the clips of a selection have each value of a column. Raises UsageError."""
    known = known_columns([pipeline for _, pipeline in chosen])
    _check(known, selection, ())
    every = chosen_clips([i for i, _ in chosen], known, selection, engine.dialect.name)
    return group_sizes(engine, every, name)


def check_selection(
    pipeline: Pipeline, selection: Selection, extras: Iterable[str]
) -> dict[str, Column]:
    """The columns that --columns may name; `extras` are those of the input tables. Raises
    UsageError or FilterError for a wrong column or predicate.
    """
    return _check(available(pipeline), selection, extras)


def _check(
    known: Mapping[str, Column], selection: Selection, extras: Iterable[str]
) -> dict[str, Column]:
    kinds = {name: Column("text", "a column of the input table") for name in extras} | {**known}
    check_columns(selection.columns, kinds)
    for name in filter(None, (selection.balance, selection.hold_out)):
        check_columns([name], known)
        if known[name].kind == "float":
            raise UsageError(what=f"{name} is no column of groups; take one such as concept")
    if selection.where:
        check_where(selection.where, known)
    if selection.sort:
        check_sort(selection.sort, known)
    return kinds


def extra_names(engine: Engine, dataset_id: int) -> list[str]:
    """The other columns of the input tables, in the order in which they turn up."""
    query = select(videos.c.extra).where(
        videos.c.dataset_id == dataset_id, videos.c.extra.is_not(None)
    )
    names: dict[str, None] = {}
    with reading(engine) as connection:
        rows = connection.execution_options(yield_per=CHUNK).execute(query.order_by(videos.c.id))
        for (extra,) in rows:
            names |= dict.fromkeys(json.loads(extra))
    return list(names)


def totals(engine: Engine, plan: ExportPlan) -> tuple[int, int]:
    """How many clips a plan finds, and the bytes of their files where those are known."""
    found = plan.query.order_by(None).limit(plan.limit).subquery()
    count = select(func.count(), func.coalesce(func.sum(found.c["_size"]), 0))
    with reading(engine) as connection:
        clips_, size = connection.execute(count).one()
    return int(clips_), int(size)


@contextmanager
def rows_of(
    engine: Engine,
    plan: ExportPlan,
    to_path: Callable[[str], str],
    exported: Exported,
    report: Callable[[int], None] = lambda rows: None,
) -> Iterator[Iterator[ExportRow]]:
    """The planned rows, in order, of one moment; they are counted in `exported`.

    `to_path` turns a stored path into the one on disk. A path that is not UTF-8 on disk stays as it
    is stored, since no reader of CSV or Parquet would take it otherwise. `report` is called now and
    then with the number of rows. Memory does not grow with that number. The files of clips are
    looked at where `path` is read and `plan.check` is there. Raises FilesAmiss after the last row.
    """
    with (
        reading(engine) as connection,
        connection.execution_options(yield_per=CHUNK).execute(plan.query) as result,
    ):
        found = _checked(result.partitions(), plan, to_path, exported)
        rows = _rows(found, plan, to_path, exported, report)
        yield rows if plan.limit is None else itertools.islice(rows, plan.limit)


def _checked(
    chunks: Iterable[Sequence[Sequence[Any]]],
    plan: ExportPlan,
    to_path: Callable[[str], str],
    exported: Exported,
) -> Iterator[Sequence[Any]]:
    """The rows of the query without those that `plan.check` leaves out, their files counted.

    Raises FilesAmiss after the last one, if it says so.
    """
    check = plan.check
    at = _stored(plan).index("path") if check and "path" in plan.read else None
    for chunk in chunks:
        if check is None or at is None:
            yield from chunk
            continue
        files = [(to_path(row[at]), row[-3]) for row in chunk]
        states = check.look(files)
        for row, file in zip(chunk, files, strict=True):
            state = states[file]
            exported.files[state] += 1
            if state in AMISS:
                exported.amiss = exported.amiss or row[at]
            if state not in AMISS or check.amiss == "keep":
                yield row
    if check and check.amiss == "fail" and exported.amiss:
        raise FilesAmiss(**{s: exported.files[s] for s in AMISS}, path=exported.amiss)


def _stored(plan: ExportPlan) -> list[str]:
    """The names whose values the query gives."""
    return [name for name in plan.read if name not in plan.extras]


def _rows(
    rows: Iterable[Sequence[Any]],
    plan: ExportPlan,
    to_path: Callable[[str], str],
    exported: Exported,
    report: Callable[[int], None],
) -> Iterator[ExportRow]:
    """The rows as they are written, counted, and reported a chunk at a time."""
    paths = [(at, name) for at, name in enumerate(_stored(plan)) if name in PATHS]
    extras = [(at, name) for at, name in enumerate(plan.names) if name in plan.extras]
    weights = plan.balance.weights if plan.balance and WEIGHT in plan.names else {}
    weighed = _stored(plan).index(WEIGHT) if weights else -1
    for *values, size, own_file, extra in rows:
        as_stored, file = False, ""
        for at, name in paths:
            path = to_path(values[at])
            file = path if name == "path" else file
            if path.isascii() or not any("\ud800" <= c <= "\udfff" for c in path):
                values[at] = path
            else:
                as_stored = True
        exported.not_utf8 += as_stored
        if weights:
            values[weighed] = weights.get(values[weighed], 0.0)  # of no group that was counted
        if extras:
            given = json.loads(extra or "{}")
            for at, name in extras:
                cell = given.get(name)
                as_text = cell is None or isinstance(cell, str)
                values.insert(at, cell if as_text else json.dumps(cell, ensure_ascii=False))
        yield ExportRow(values, file, size, bool(own_file))
        exported.rows += 1
        if exported.rows % CHUNK == 0:
            report(exported.rows)
