"""Writes clips to a CSV or Parquet file: a chunk at a time, in a fixed order. The file takes its
name only when it is whole.
"""

from __future__ import annotations

import contextlib
import csv
import itertools
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TextIO

from sqlalchemy import (
    ColumnElement,
    Engine,
    Select,
    Subquery,
    and_,
    case,
    column,
    func,
    literal_column,
    select,
)

from curate.configs.errors import FilesAmiss, PackageMissing, ServiceError, UsageError
from curate.configs.packages import install
from curate.configs.pipeline import DONE, Pipeline
from curate.configs.schema import Column
from curate.configs.texts import safe_cell
from curate.db.datasets import has_picks
from curate.db.engine import reading
from curate.db.expressions import quoted
from curate.db.filters.check import check_where
from curate.db.filters.columns import check_columns, check_sort, columns_of, order_by
from curate.db.filters.sql import to_sql
from curate.db.schema import clips, videos

CHUNK = 5000
STDOUT = Path("-")

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
    "start_pts",
    "end_pts",
    "start_frame",
    "num_clips",
)
_PATHS = ("path", "source")
_SIZE = "file_size"  # the column of a clip that tells the size of its file
_ADDED = {
    "source": Column("text", "path of the video"),
    "clip_id": Column("int", "id of the clip in the database"),
}


@dataclass(frozen=True)
class Selection:
    """Which clips, which columns, in which order. Empty: kept clips, the usual columns, video by
    video.
    """

    where: str = ""
    columns: Sequence[str] = ()
    sort: str = ""
    statuses: Sequence[str] = ("kept",)


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
    input table, and the query. Its rows hold the other names in order, then the size that the file
    of `path` should have, and last `videos.extra`.
    """

    names: Sequence[str]
    kinds: Mapping[str, Column]
    extras: frozenset[str]
    query: Select[Any]
    check: FileCheck | None = None


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


def usual(pipeline: Pipeline, picks: bool = False) -> list[str]:
    """The columns written when none are asked for: the seed's, the scores of the pipeline, `picked`
    where clips were picked by hand, then the span.
    """
    forms = {f"{step.name}_form" for step in pipeline.stages}
    others = {*SEED, *LAST, *HIDDEN, *POSITION, *forms}
    scores = [name for name in pipeline.columns() if name not in others]
    return [*SEED, *scores, *(["picked"] if picks else []), *LAST]


def plan(engine: Engine, dataset_id: int, pipeline: Pipeline, selection: Selection) -> ExportPlan:
    """Check a selection and make its query. Raises UsageError or FilterError for a wrong column or
    predicate.
    """
    known = available(pipeline)
    extras = [name for name in extra_names(engine, dataset_id) if name not in known]
    kinds = check_selection(pipeline, selection, extras)
    if selection.columns:
        names = [name.strip() for name in selection.columns]
    else:
        every_clip_is_kept = tuple(selection.statuses) == ("kept",)
        with reading(engine) as connection:
            picks = has_picks(connection, dataset_id)
        names = [
            *usual(pipeline, picks),
            *(() if every_clip_is_kept else ("status", "reason")),
            *extras,
        ]
    chosen: list[ColumnElement[Any]] = [
        column(n) for n in (*names, "_size", "_extra") if n not in extras
    ]
    query: Select[Any] = select(*chosen).select_from(
        _selected(dataset_id, known, selection.statuses)
    )
    dialect = engine.dialect.name
    if selection.where:
        query = query.where(literal_column(to_sql(selection.where, dialect)))
    keys = order_by(selection.sort, known, dialect) if selection.sort else []
    query = query.order_by(*keys, column("video_id"), column("clip_index"))
    return ExportPlan(names, kinds, frozenset(extras), query)


def check_selection(
    pipeline: Pipeline, selection: Selection, extras: Iterable[str]
) -> dict[str, Column]:
    """The columns that --columns may name; `extras` are those of the input tables. Raises
    UsageError or FilterError for a wrong column or predicate.
    """
    known = available(pipeline)
    kinds = {name: Column("text", "a column of the input table") for name in extras} | known
    check_columns(selection.columns, kinds)
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


def _selected(dataset_id: int, known: Iterable[str], statuses: Sequence[str]) -> Subquery:
    """The clips with these statuses, with every column that a predicate may name."""
    own = [c for c in known if c not in (*_PATHS, "clip_id")]
    status: ColumnElement[bool] = clips.c.status.in_(list(statuses))
    if tuple(statuses) == ("kept",):  # all of them stand before DONE: a range of the claim index
        status = and_(clips.c.stage == DONE, clips.c.status == "kept")
    own_size: ColumnElement[Any] = literal_column("clips.file_size" if _SIZE in own else "NULL")
    size = case((clips.c.path.is_(None), videos.c.size_bytes), else_=own_size)
    return (
        select(
            *[literal_column(f"clips.{quoted(c)}").label(c) for c in own],
            func.coalesce(clips.c.path, videos.c.path).label("path"),
            videos.c.path.label("source"),
            size.label("_size"),
            videos.c.extra.label("_extra"),
            clips.c.id.label("clip_id"),
        )
        .join_from(clips, videos, clips.c.video_id == videos.c.id)
        .where(clips.c.dataset_id == dataset_id, status)
        .subquery("chosen")
    )


def export(
    engine: Engine,
    plan: ExportPlan,
    target: Path | None,
    to_path: Callable[[str], str],
    report: Callable[[int], None] = lambda rows: None,
    safe_cells: bool = False,
) -> Exported:
    """Write the planned rows to target (.csv or .parquet; None or -: CSV on stdout), replacing it
    when all are written.

    `to_path` turns a stored path into the one on disk. A path that is not UTF-8 on disk stays as it
    is stored, since no reader of CSV or Parquet would take it otherwise. `report` is called now and
    then with the number of rows written. Memory does not grow with that number. The files of clips
    are looked at where `path` is written and `plan.check` is there. With `safe_cells` no text is
    written that a spreadsheet takes for a formula. Raises PackageMissing, UsageError, FilesAmiss,
    and ServiceError when the file cannot be written.
    """
    exported = Exported(plan.names)
    with reading(engine) as connection, contextlib.ExitStack() as stack:
        result = stack.enter_context(
            connection.execution_options(yield_per=CHUNK).execute(plan.query)
        )
        found = _checked(result.partitions(), plan, to_path, exported)
        rows: Iterable[Sequence[Any]] = _rows(found, plan, to_path, exported, report)
        if safe_cells:
            plan = replace(plan, names=_safe(plan.names))
            rows = map(_safe, rows)
        if target in (None, STDOUT):
            write_csv(sys.stdout, plan.names, rows)
        else:
            try:
                with whole(target) as temporary:
                    _format(target)(temporary, plan, rows)
            except OSError as error:
                raise ServiceError(what=str(target), why=error.strerror or error) from error
    return exported


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
    at = _stored(plan).index("path") if check and "path" in plan.names else None
    for chunk in chunks:
        if check is None or at is None:
            yield from chunk
            continue
        files = [(to_path(row[at]), row[-2]) for row in chunk]
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
    return [name for name in plan.names if name not in plan.extras]


def _rows(
    rows: Iterable[Sequence[Any]],
    plan: ExportPlan,
    to_path: Callable[[str], str],
    exported: Exported,
    report: Callable[[int], None],
) -> Iterator[list[Any]]:
    """The rows as they are written, counted, and reported a chunk at a time."""
    paths = [at for at, name in enumerate(_stored(plan)) if name in _PATHS]
    extras = [(at, name) for at, name in enumerate(plan.names) if name in plan.extras]
    for *values, _, extra in rows:
        as_stored = False
        for at in paths:
            path = to_path(values[at])
            if path.isascii() or not any("\ud800" <= c <= "\udfff" for c in path):
                values[at] = path
            else:
                as_stored = True
        exported.not_utf8 += as_stored
        if extras:
            given = json.loads(extra or "{}")
            for at, name in extras:
                cell = given.get(name)
                as_text = cell is None or isinstance(cell, str)
                values.insert(at, cell if as_text else json.dumps(cell, ensure_ascii=False))
        yield values
        exported.rows += 1
        if exported.rows % CHUNK == 0:
            report(exported.rows)


def _safe(values: Sequence[Any]) -> list[Any]:
    return [safe_cell(value) if isinstance(value, str) else value for value in values]


def check_target(target: Path | None, safe_cells: bool = False) -> None:
    """Raise UsageError or ServiceError when nothing can be written there: better before the work
    than after.
    """
    if target in (None, STDOUT):
        return
    try:
        if target.is_dir():
            name = target / "clips.csv"
            raise UsageError(what=f"{target} is a folder; name a file to write, such as {name}")
        _format(target)
        if safe_cells and target.suffix.lower() != ".csv":
            raise UsageError(what=f"--safe-cells is for CSV, and {target} is none; leave it out")
        existing = next((p for p in target.absolute().parents if p.exists()), Path("/"))
        if not existing.is_dir():
            raise UsageError(what=f"{target} cannot be written: {existing} is not a folder")
        # tried, since root may write to folders that take no file
        trial = _temporary(existing / target.name)
        trial.touch()
        trial.unlink()
    except OSError as error:
        why = error.strerror or error
        raise UsageError(what=f"{target} cannot be written: {why}") from None


_Format = Callable[[Path, ExportPlan, Iterable[Sequence[Any]]], None]


def _format(target: Path) -> _Format:
    """What writes rows to such a file. Raises UsageError, PackageMissing, ServiceError."""
    suffix = target.suffix.lower()
    if suffix == ".csv":
        return _csv_file
    if suffix != ".parquet":
        ends = f"ends in {suffix}" if suffix else "has no ending"
        raise UsageError(what=f"{target} {ends}; export writes .csv and .parquet")
    try:
        import pyarrow  # noqa: F401
    except ModuleNotFoundError:
        how = install("pyarrow")
        raise PackageMissing(what="Writing Parquet", package="pyarrow", install=how) from None
    except ImportError as error:  # it is there, and does not go with another package
        raise ServiceError(what="Writing Parquet", why=error) from None
    return _parquet_file


def _temporary(target: Path) -> Path:
    return target.absolute().with_name(f".{target.name}.{os.getpid()}.tmp")


@contextmanager
def whole(target: Path) -> Iterator[Path]:
    """A temporary path beside target that takes its name at the end; on an exception nothing is
    left of it.
    """
    target.absolute().parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(target)
    try:
        yield temporary
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def write_csv(stream: TextIO, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a header and rows; fields are quoted where they need it."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows)


def _csv_file(path: Path, plan: ExportPlan, rows: Iterable[Sequence[Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        write_csv(stream, plan.names, rows)


def _parquet_file(path: Path, plan: ExportPlan, rows: Iterable[Sequence[Any]]) -> None:
    import pyarrow
    import pyarrow.parquet

    types = {"float": pyarrow.float64(), "int": pyarrow.int64(), "text": pyarrow.string()}
    schema = pyarrow.schema([(name, types[plan.kinds[name].kind]) for name in plan.names])
    iterator = iter(rows)
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        while chunk := list(itertools.islice(iterator, CHUNK)):
            columns = [list(c) for c in zip(*chunk, strict=True)]
            writer.write_table(pyarrow.table(columns, schema=schema))
