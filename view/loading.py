"""Reads the rows of a dataset into NumPy arrays, in one stream a level, for a snapshot."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, case, func, literal_column, select
from sqlalchemy import column as column_called

from curate.configs.errors import NotANumber
from curate.configs.schema import Level
from curate.db.engine import is_sqlite
from curate.db.filters.judge import Judge
from curate.db.schema import DROP, KEEP, clips, rows_of

STATUSES = ("active", "kept", "dropped", "failed")
ACTIVE, KEPT, DROPPED, FAILED = range(4)
PICKED_TO_KEEP, PICKED_TO_DROP = 1, 2
AT_ONCE = 20_000
Report = Callable[[int], None]  # rows read so far
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_STAGES = 1 << 8  # how many stages the number of `_stand` has room for


@dataclass(frozen=True)
class WantedRows:
    """What to read of the rows of a level; `judge` is that of the dataset.

    `columns` hold numbers. `rest` is, by filter, SQL of its clauses without a movable threshold.
    """

    judge: Judge
    level: Level
    columns: Sequence[str] = ()
    rest: Mapping[str, str] | None = None


@dataclass(frozen=True)
class RowArrays:
    """The rows of one level, in the order of their ids; all arrays have the same length.

    `status` numbers STATUSES, `stage` the `Pipeline.level_stages`; `picked` is 0, PICKED_TO_KEEP or
    PICKED_TO_DROP. `decided` are the rows that a refilter judges. NULL is NaN in `columns`, which
    hold no other NaN. `rest` tells of a filter whether its clauses that cannot be moved are all
    true, and whether that is NULL; a filter that has none is not in it. `video` is the place of a
    clip's video among the rows of videos.
    """

    ids: NDArray[np.int64]
    status: NDArray[np.uint8]
    stage: NDArray[np.uint8]
    picked: NDArray[np.uint8]
    decided: Bools
    columns: dict[str, Floats]
    rest: dict[str, tuple[Bools, Bools]]
    video: NDArray[np.int32]

    @property
    def going_on(self) -> Bools:
        """Whether a row is kept or still on its way."""
        return self.status <= KEPT

    def __len__(self) -> int:
        return len(self.ids)


def load_rows(
    connection: Connection,
    wanted: WantedRows,
    video_ids: NDArray[np.int64],
    report: Report = lambda _rows: None,
) -> RowArrays:
    """The rows of a level. For clips, `video_ids` are the ids of the videos in order.

    Raises NotANumber for a column that holds NaN.
    """
    table = rows_of(wanted.level)
    rest = wanted.rest or {}
    numbers = [table.c.id, _stand(wanted)]
    numbers += [table.c.video_id] if wanted.level == "clip" else []
    # two bits each, 15 to a number: what every engine adds up exactly
    names = list(rest)
    groups = [names[first : first + 15] for first in range(0, len(names), 15)]
    for group in groups:
        bits = (
            f"CASE WHEN {rest[name]} THEN {1 << 2 * n} WHEN NOT ({rest[name]}) THEN 0"
            f" ELSE {2 << 2 * n} END"
            for n, name in enumerate(group)
        )
        numbers.append(literal_column(" + ".join(bits)))
    ints: list[list[NDArray[Any]]] = [[] for _ in numbers]
    floats: list[list[Floats]] = [[] for _ in wanted.columns]
    seen = 0
    for chunk in _chunks(connection, wanted, [*numbers, *map(column_called, wanted.columns)]):
        for into, values in zip(ints, chunk, strict=False):
            into.append(np.array(values, np.int64))
        for name, into, values in zip(wanted.columns, floats, chunk[len(numbers) :], strict=True):
            into.append(_floats(values, name, wanted.level))
        seen += len(chunk[0])
        report(seen)
    ids, stand, *more = [np.concatenate(part or [np.zeros(0, np.int64)]) for part in ints]
    video = np.zeros(0, np.int32)
    if wanted.level == "clip":
        video = np.searchsorted(video_ids, more.pop(0)).astype(np.int32)
    found: dict[str, tuple[Bools, Bools]] = {}
    for group, bits_of in zip(groups, more, strict=True):
        for n, name in enumerate(group):
            found[name] = (bits_of >> 2 * n) & 1 == 1, (bits_of >> 2 * n) & 2 == 2
    return RowArrays(
        ids=ids,
        status=(stand & 3).astype(np.uint8),
        stage=((stand >> 3) % _STAGES).astype(np.uint8),
        picked=((stand >> 3) // _STAGES).astype(np.uint8),
        decided=stand & 4 == 4,
        columns={
            name: np.concatenate(parts or [np.zeros(0)])
            for name, parts in zip(wanted.columns, floats, strict=True)
        },
        rest=found,
        video=video,
    )


def read_columns(connection: Connection, rows: RowArrays, wanted: WantedRows) -> dict[str, Floats]:
    """The columns of `wanted` as they are now, of these rows: NaN for a row that is gone.

    Raises NotANumber.
    """
    read = {name: np.full(len(rows), np.nan) for name in wanted.columns}
    columns = [rows_of(wanted.level).c.id, *map(column_called, wanted.columns)]
    for ids, *chunk in _chunks(connection, wanted, columns):
        place = np.searchsorted(rows.ids, ids)
        known = place < len(rows)
        known[known] = rows.ids[place[known]] == np.array(ids)[known]
        for name, values in zip(wanted.columns, chunk, strict=True):
            read[name][place[known]] = _floats(values, name, wanted.level)[known]
    return read


def _chunks(
    connection: Connection, wanted: WantedRows, columns: Sequence[ColumnElement[Any]]
) -> Iterator[list[tuple[Any, ...]]]:
    """The columns of the rows in the order of their ids, some rows at a time."""
    table = rows_of(wanted.level)
    dataset_id = wanted.judge.dataset_id
    of_dataset = table.c.dataset_id == dataset_id
    ends = select(func.min(table.c.id), func.max(table.c.id)).where(of_dataset)
    first, last = connection.execute(ends).one()
    # + 0: no index on the dataset, which would find rows one by one where a range of ids is read
    rows = select(*columns).where(
        table.c.id.between(first or 0, last or -1), table.c.dataset_id + 0 == dataset_id
    )
    rows = rows.order_by(table.c.id)
    if is_sqlite(connection):  # the driver's own tuples: rows of SQLAlchemy take half as long again
        cursor: Any = connection.execute(rows).cursor
        while chunk := cursor.fetchmany(AT_ONCE):
            yield list(zip(*chunk, strict=True))
        return
    for part in connection.execution_options(yield_per=AT_ONCE).execute(rows).partitions():
        yield list(zip(*part, strict=True))


def _stand(wanted: WantedRows) -> ColumnElement[Any]:
    """Where a row stands, as a number: status, whether it is decided, stage, pick."""
    table, judge = rows_of(wanted.level), wanted.judge
    stages = {name: n * 8 for n, name in enumerate(judge.pipeline.level_stages(wanted.level))}
    assert len(stages) < _STAGES
    number: ColumnElement[Any] = case(
        {name: n for n, name in enumerate(STATUSES)}, value=table.c.status, else_=FAILED
    )
    number += case((judge.decided(wanted.level), 4), else_=0)
    number += case(stages, value=table.c.stage, else_=(_STAGES - 1) * 8)
    if wanted.level == "clip":
        size = 8 * _STAGES
        picked = {KEEP: PICKED_TO_KEEP * size, DROP: PICKED_TO_DROP * size}
        number += case(picked, value=clips.c.picked, else_=0)
    return number


def _floats(values: Sequence[Any], name: str, level: Level) -> Floats:
    """Numbers and None as floats, None as NaN."""
    floats = np.array(values, np.float64)
    if np.count_nonzero(np.isnan(floats)) != values.count(None):
        raise NotANumber(column=name, table=f"{level}s")
    return floats
