"""Writes clips to a CSV or Parquet file: a chunk at a time, in a fixed order, under its name only
when whole.
"""

from __future__ import annotations

import csv
import itertools
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TextIO

from sqlalchemy import ColumnElement, Engine, Select, and_, column, func, literal_column, select

from curate.configs.errors import PackageMissing, ServiceError, UsageError
from curate.configs.pipeline import DONE, Pipeline
from curate.configs.schema import Column
from curate.db.engine import reading
from curate.db.expressions import quoted
from curate.db.filters import check as filters
from curate.db.schema import clips, videos

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
    "dedup_seq",
    "text_seq",
    "start_pts",
    "end_pts",
    "start_frame",
    "num_clips",
)
_PATHS = ("path", "source")
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
class Written:
    """What an export wrote; `not_utf8` counts the rows with a path that is not UTF-8 on disk."""

    rows: int
    columns: Sequence[str]
    not_utf8: int


@dataclass(frozen=True)
class Plan:
    """A checked selection: the names to write, which of them come out of the input table, and the
    query.
    """

    names: Sequence[str]
    kinds: Mapping[str, Column]
    extras: frozenset[str]
    query: Select[Any]


def available(pipeline: Pipeline) -> dict[str, Column]:
    """The columns that an export, its --where and its --sort can be about."""
    known = filters.columns_of(clips) | pipeline.columns() | _ADDED
    return {name: c for name, c in known.items() if name not in POSITION}


def usual(pipeline: Pipeline) -> list[str]:
    """The columns written when none are asked for: the seed's, the scores of the pipeline, then the
    span.
    """
    scores = [name for name in pipeline.columns() if name not in (*SEED, *LAST, *HIDDEN, *POSITION)]
    return [*SEED, *scores, *LAST]


def plan(engine: Engine, dataset_id: int, pipeline: Pipeline, selection: Selection) -> Plan:
    """Check a selection and make its query. Raises UsageError or FilterError for a wrong column or
    predicate.
    """
    known = available(pipeline)
    extras = [name for name in _extra_names(engine, dataset_id) if name not in known]
    everything = known | {name: Column("text", "a column of the input table") for name in extras}
    names = (
        filters.check_columns(selection.columns, everything)
        if selection.columns
        else usual(pipeline)
    )
    if not selection.columns:
        names += [
            *(("status", "reason") if tuple(selection.statuses) != ("kept",) else ()),
            *extras,
        ]
    if selection.where:
        filters.check_where(selection.where, known)
    query = _query(engine, dataset_id, known, selection, [n for n in names if n in known])
    return Plan(names, everything, frozenset(extras), query)


def _query(
    engine: Engine,
    dataset_id: int,
    known: Mapping[str, Column],
    selection: Selection,
    names: Sequence[str],
) -> Select[Any]:
    dialect = engine.dialect.name
    joined = [c for c in known if c not in (*_PATHS, "clip_id")]
    own: list[ColumnElement[Any]] = [literal_column(f"clips.{quoted(c)}").label(c) for c in joined]
    path = func.coalesce(clips.c.path, videos.c.path).label("path")
    rest = (
        path,
        videos.c.path.label("source"),
        videos.c.extra.label("_extra"),
        clips.c.id.label("clip_id"),
    )
    rows = (
        select(*own, *rest)
        .join_from(clips, videos, clips.c.video_id == videos.c.id)
        .where(clips.c.dataset_id == dataset_id, _chosen(selection.statuses))
        .subquery("chosen")
    )
    wanted: list[ColumnElement[Any]] = [column(n) for n in (*names, "_extra")]
    query: Select[Any] = select(*wanted).select_from(rows)
    if selection.where:
        query = query.where(literal_column(filters.to_sql(selection.where, dialect)))
    keys = filters.order_by(selection.sort, known, dialect) if selection.sort else []
    return query.order_by(*keys, column("video_id"), column("clip_index"))


def _chosen(statuses: Sequence[str]) -> ColumnElement[bool]:
    if tuple(statuses) == ("kept",):  # all of them stand in one place: a range of the claim index
        return and_(clips.c.stage == DONE, clips.c.status == "kept")
    return clips.c.status.in_(list(statuses))


def _extra_names(engine: Engine, dataset_id: int) -> list[str]:
    """The other columns of the input tables, in the order in which they turn up."""
    query = select(videos.c.extra).where(
        videos.c.dataset_id == dataset_id, videos.c.extra.is_not(None)
    )
    names: dict[str, None] = {}
    with reading(engine) as connection:
        found = connection.execution_options(yield_per=CHUNK).execute(query.order_by(videos.c.id))
        for (extra,) in found:
            names |= dict.fromkeys(json.loads(extra))
    return list(names)


def export(
    engine: Engine,
    plan: Plan,
    target: Path | None,
    to_path: Callable[[str], str],
    tell: Callable[[int], None] = lambda rows: None,
) -> Written:
    """Write the planned rows to target (.csv or .parquet; None: CSV on stdout), replacing it when
    all are written.

    `to_path` turns a stored path into the one on disk. A path that is not UTF-8 on disk stays as it
    is stored, since no reader of CSV or Parquet would take it otherwise. `tell` hears now and then
    how many rows are written. Memory does not grow with their number. Raises PackageMissing,
    UsageError.
    """
    tally = _Tally(plan, to_path, tell)
    rows = tally.counted(_chunks(engine, plan))
    if target is None:
        _write_csv(sys.stdout, plan, rows)
    else:
        with whole(target) as temporary:
            _writer(target)(temporary, plan, rows)
    return Written(tally.rows, plan.names, tally.not_utf8)


def check_target(target: Path | None) -> None:
    """Raise UsageError or ServiceError when nothing can be written there: better before the work
    than after.
    """
    if target is None:
        return
    _writer(target)
    if target.is_dir():
        raise UsageError(
            what=f"{target} is a folder; name a file to write, such as {target / 'clips.csv'}"
        )
    existing = next((p for p in target.absolute().parents if p.exists()), Path("/"))
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise UsageError(
            what=f"{target} cannot be written: {existing} is not a folder you may write to"
        )


class _Writer(Protocol):
    def __call__(self, path: Path, plan: Plan, rows: Iterable[Sequence[Any]], /) -> None: ...


def _writer(target: Path) -> _Writer:
    suffix = target.suffix.lower()
    if suffix == ".csv":
        return _csv_file
    if suffix != ".parquet":
        raise UsageError(
            what=f"{target} ends in {suffix or 'nothing'}; export writes .csv and .parquet"
        )
    try:
        import pyarrow  # noqa: F401
    except ModuleNotFoundError:
        install = 'pip install "curate[parquet]"'
        raise PackageMissing(what="Writing Parquet", package="pyarrow", install=install) from None
    except ImportError as error:  # it is there, and does not go with another package
        raise ServiceError(what="Writing Parquet", why=error) from None
    return _parquet_file


@contextmanager
def whole(target: Path) -> Iterator[Path]:
    """A temporary path beside target that takes its name at the end; on an exception nothing is
    left of it.
    """
    folder = target.absolute().parent
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{target.name}.{os.getpid()}.tmp"
    try:
        yield temporary
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _chunks(engine: Engine, plan: Plan) -> Iterator[Sequence[Sequence[Any]]]:
    with reading(engine) as connection:
        yield from connection.execution_options(yield_per=CHUNK).execute(plan.query).partitions()


class _Tally:
    """Turns rows as they are read into rows as they are written, and counts them."""

    def __init__(
        self, plan: Plan, to_path: Callable[[str], str], tell: Callable[[int], None]
    ) -> None:
        self.rows = 0
        self.not_utf8 = 0
        self._to_path = to_path
        self._tell = tell
        read = [name for name in plan.names if name not in plan.extras]  # then comes _extra
        self._paths = [at for at, name in enumerate(read) if name in _PATHS]
        self._extras = [(at, name) for at, name in enumerate(plan.names) if name in plan.extras]

    def counted(self, chunks: Iterable[Sequence[Sequence[Any]]]) -> Iterator[list[Any]]:
        for chunk in chunks:
            for found in chunk:
                *values, extra = found
                as_stored = [self._write_path(values, at) for at in self._paths]
                self.not_utf8 += True in as_stored
                if self._extras:
                    given = json.loads(extra or "{}")
                    for at, name in self._extras:
                        values.insert(at, _text(given.get(name)))
                yield values
            self.rows += len(chunk)
            self._tell(self.rows)

    def _write_path(self, values: list[Any], at: int) -> bool:
        """Put the path on disk in the place of the stored one; returns whether it cannot be written
        as text.
        """
        path = self._to_path(values[at])
        if _not_utf8(path):
            return True
        values[at] = path
        return False


def _not_utf8(path: str) -> bool:
    return not path.isascii() and any("\ud800" <= c <= "\udfff" for c in path)


def _text(value: Any) -> str | None:
    return (
        value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    )


def _csv_file(path: Path, plan: Plan, rows: Iterable[Sequence[Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        _write_csv(stream, plan, rows)


def _write_csv(stream: TextIO, plan: Plan, rows: Iterable[Sequence[Any]]) -> None:
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(plan.names)
    writer.writerows(rows)


def _parquet_file(path: Path, plan: Plan, rows: Iterable[Sequence[Any]]) -> None:
    import pyarrow
    import pyarrow.parquet

    types = {"float": pyarrow.float64(), "int": pyarrow.int64(), "text": pyarrow.string()}
    schema = pyarrow.schema([(name, types[plan.kinds[name].kind]) for name in plan.names])
    iterator = iter(rows)
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        while chunk := list(itertools.islice(iterator, CHUNK)):
            columns = [list(c) for c in zip(*chunk, strict=True)]
            writer.write_table(pyarrow.table(columns, schema=schema))
