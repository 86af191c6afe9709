"""What differs between the clips of two datasets, matched by source and span. Memory does not grow
with their number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import Connection, Engine, collate, literal_column, select

from curate.configs.pipeline import Pipeline
from curate.db.engine import is_sqlite, reading
from curate.db.export import LAST, usual
from curate.db.home import home_of, shown_path
from curate.db.schema import clips, column_of, videos

CHUNK = 2000
VERDICT = ("status", "reason")

Change = Literal["only_a", "only_b", "differs", "same"]
Key = tuple[bytes, int, int]  # source as it is stored, first and last pts


@dataclass(frozen=True)
class Difference:
    """How a clip of one dataset and the one of the same source and span in the other compare.

    `columns` are those in which they differ, each with both values; `clip_a` and `clip_b` are ids.
    """

    change: Change
    source: str
    start_seconds: float | None
    end_seconds: float | None
    clip_a: int | None = None
    clip_b: int | None = None
    columns: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)


def comparable(a: Pipeline, b: Pipeline) -> list[str]:
    """The columns of clips that both datasets have and that mean the same in both: no ids."""
    ids = {s.order.duplicate_of for p in (a, b) for s in p.stages if s.order}
    left_out = {"path", "file_size", *LAST, *ids}
    in_b = set(usual(b))
    return [name for name in usual(a) if name in in_b and name not in left_out]


def differences(engine: Engine, a: int, b: int, columns: Sequence[str]) -> Iterator[Difference]:
    """Every clip of two datasets, given by their ids, in the order of sources and spans."""
    names = [*VERDICT, *columns]
    with reading(engine, "REPEATABLE READ") as connection:
        lefts, rights = _clips(connection, a, columns), _clips(connection, b, columns)
        left, right = next(lefts, None), next(rights, None)
        home = home_of(engine.dialect)
        while left or right:
            if left and (right is None or left.key < right.key):
                yield left.only("only_a", home)
                left = next(lefts, None)
            elif right and (left is None or right.key < left.key):
                yield right.only("only_b", home)
                right = next(rights, None)
            elif left and right:
                pairs = zip(names, left.values, right.values, strict=True)
                differing = {n: (mine, other) for n, mine, other in pairs if mine != other}
                yield Difference(
                    "differs" if differing else "same",
                    left.source(home), *left.span, left.id, right.id, differing,
                )  # fmt: skip
                left, right = next(lefts, None), next(rights, None)


@dataclass(frozen=True)
class _Row:
    key: Key
    stored: str
    span: tuple[float | None, float | None]  # in seconds
    id: int
    values: Sequence[Any]

    def source(self, home: str) -> str:
        return shown_path(self.stored, home)

    def only(self, change: Literal["only_a", "only_b"], home: str) -> Difference:
        ids = (self.id, None) if change == "only_a" else (None, self.id)
        return Difference(change, self.source(home), *self.span, *ids)


def _clips(connection: Connection, dataset_id: int, columns: Sequence[str]) -> Iterator[_Row]:
    stored: Any = literal_column("videos.path")  # as it is stored: rows are matched by that
    by_bytes = stored if is_sqlite(connection) else collate(stored, "C")
    order = (clips.c.start_pts, clips.c.end_pts, clips.c.id)
    query = (
        select(
            stored,
            *order,
            clips.c.start_seconds,
            clips.c.end_seconds,
            *[clips.c[name] for name in VERDICT],
            *[column_of(clips, name) for name in columns],
        )
        .join_from(clips, videos, clips.c.video_id == videos.c.id)
        .where(clips.c.dataset_id == dataset_id)
        .order_by(by_bytes, *order)
    )
    result = connection.execution_options(yield_per=CHUNK).execute(query)
    for path, first, last, clip, begin, end, *values in result:
        yield _Row((path.encode(), first, last), path, (begin, end), clip, values)
