"""Applies changed filters to the rows of a dataset, in many short transactions: workers go on
meanwhile.

The first transaction changes the pipeline, and every save from then on goes by it. The others take
the clips of a few videos at a time and write only the rows whose verdict changes, so that nobody
waits for longer than one such range. `datasets.refiltering` is set until the last one: a refilter
that was interrupted can be seen and finished.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    case,
    func,
    literal,
    null,
    or_,
    select,
    update,
)

from curate.configs.errors import UsageError
from curate.configs.pipeline import DONE, Pipeline
from curate.configs.schema import LEVELS, Level
from curate.db.datasets import Dataset, write_pipeline
from curate.db.engine import reading, writing
from curate.db.filters.verdict import verdict_of
from curate.db.save.batch import lock_dataset
from curate.db.schema import datasets, rows_of, videos

ROWS_AT_ONCE = 20_000  # rows judged in a transaction, unless one video has more
Report = Callable[[int, int], None]  # rows judged, of how many


class VideoRange(NamedTuple):
    """Videos judged in one transaction: the first id, the last id, and rows, clips included."""

    first: int
    last: int
    rows: int


def replace_pipeline(
    engine: Engine, dataset: Dataset, pipeline: Pipeline, report: Report | None = None
) -> dict[str, int]:
    """Give a dataset changed filters and apply them to every clip and video that has met them.

    Returns rows by what happened: `revived` and `dropped`. Nothing is scored again: a row's place
    stays. Rows at work get their verdict when they are saved. Raises UsageError when another
    command changes the pipeline, see `write_pipeline`.
    """
    before = {step["filter"] for step in dataset.frozen if "filter" in step} | set(
        dataset.refiltering
    )
    names = sorted(before | {f.name for f in pipeline.filters})
    with writing(engine) as connection:
        write_pipeline(connection, dataset, pipeline)
        _mark(connection, dataset, json.dumps(names))
    job = _Refilter(engine, dataset, pipeline, names)
    ranges = job.ranges()
    rows = sum(of_range.rows for of_range in ranges)
    judged = revived = dropped = 0
    for first, last, size in ranges:
        up, down = job.judge(first, last)
        revived, dropped, judged = revived + up, dropped + down, judged + size
        if report:
            report(judged, rows)
    with writing(engine) as connection:
        job.check_pipeline(connection)
        _mark(connection, dataset, None)
    return {"revived": revived, "dropped": dropped}


def _mark(connection: Connection, dataset: Dataset, names: str | None) -> None:
    connection.execute(
        update(datasets).where(datasets.c.id == dataset.id).values(refiltering=names)
    )


@dataclass(frozen=True)
class _Refilter:
    engine: Engine
    dataset: Dataset
    pipeline: Pipeline
    names: Sequence[str]  # filters that rows may have been dropped by

    def ranges(self) -> list[VideoRange]:
        """The videos of the dataset in order, cut where ROWS_AT_ONCE rows are together."""
        query = select(videos.c.id, func.coalesce(videos.c.num_clips, 0) + 1).order_by(videos.c.id)
        ranges: list[VideoRange] = []
        first = last = rows = 0
        with reading(self.engine) as connection:
            sizes = query.where(videos.c.dataset_id == self.dataset.id)
            connection = connection.execution_options(yield_per=ROWS_AT_ONCE)
            for video_id, size in connection.execute(sizes):
                if rows and rows + size > ROWS_AT_ONCE:
                    ranges.append(VideoRange(first, last, rows))
                    rows = 0
                first, last, rows = first if rows else video_id, video_id, rows + size
        return [*ranges, VideoRange(first, last, rows)] if rows else ranges

    def judge(self, first: int, last: int) -> tuple[int, int]:
        """Apply the filters to the videos from `first` to `last` and to their clips: rows revived,
        rows dropped.
        """
        revived = dropped = 0
        with reading(self.engine) as connection:  # takes no lock, and most ranges need none
            if not any(self._changes(connection, level, first, last) for level in LEVELS):
                return 0, 0
        with writing(self.engine) as connection:
            self.check_pipeline(connection)
            for level in LEVELS:
                up, down = self._write(connection, level, first, last)
                revived, dropped = revived + up, dropped + down
        return revived, dropped

    def check_pipeline(self, connection: Connection) -> None:
        """Raise UsageError unless the dataset still has this pipeline, which then stays until the
        transaction ends.
        """
        # exclusive: a clip that is saved beside it would not see that its video falls
        if lock_dataset(connection, self.dataset.id, exclusive=True).pipeline != json.dumps(
            self.pipeline.frozen()
        ):
            name = self.dataset.name
            raise UsageError(
                what=f"Another command changed the pipeline of dataset {name} while filters were "
                f"applied to its rows. Finish it with: `curate refilter {name}`"
            )

    def _changes(self, connection: Connection, level: Level, first: int, last: int) -> bool:
        table = rows_of(level)
        was = case((table.c.status == "dropped", table.c.reason), else_=null())
        changed = select(table.c.id).where(*self._decided(level, first, last))
        changed = changed.where(self._verdict(connection, level).is_distinct_from(was))
        # a video that falls takes clips along that this does not see; judge() then writes both
        # levels
        return connection.execute(changed.limit(1)).first() is not None

    def _write(
        self, connection: Connection, level: Level, first: int, last: int
    ) -> tuple[int, int]:
        table = rows_of(level)
        verdict = self._verdict(connection, level)
        going_on = case((table.c.stage == DONE, "kept"), else_="active")
        rows = update(table).where(*self._decided(level, first, last))
        was_dropped = rows.where(table.c.status == "dropped")
        drop = rows.where(table.c.status != "dropped", verdict.is_not(None)).values(
            status="dropped", reason=verdict
        )
        revive = was_dropped.where(verdict.is_(None)).values(status=going_on, reason=None)
        rename = was_dropped.where(verdict.is_distinct_from(table.c.reason)).values(reason=verdict)
        revived = connection.execute(revive).rowcount
        connection.execute(rename)
        return revived, connection.execute(drop).rowcount

    def _decided(self, level: Level, first: int, last: int) -> list[ColumnElement[bool]]:
        """The rows that the filters decide about: those that are going on, and those that a filter
        dropped.
        """
        table = rows_of(level)
        video_id = table.c.id if level == "video" else table.c.video_id
        dropped = (table.c.status == "dropped") & table.c.reason.in_(self.names)
        return [
            video_id.between(first, last),
            table.c.dataset_id + 0
            == self.dataset.id,  # + 0: the rows are to be found by their video
            table.c.owner.is_(None),
            or_(table.c.status.in_(("kept", "active")), dropped),
        ]

    def _verdict(self, connection: Connection, level: Level) -> ColumnElement[Any]:
        """The verdict on a row by the stage that it stands before, as SQL."""
        dialect = connection.dialect.name
        stages = self.pipeline.level_stages(level)
        whens = {stage: verdict_of(self.pipeline, stage, level, dialect) for stage in stages}
        return case(whens, value=rows_of(level).c.stage, else_=literal(None))
