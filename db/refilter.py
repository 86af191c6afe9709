"""Applies changed filters to the rows of a dataset, in many short transactions: workers go on
meanwhile.

The first transaction changes the pipeline, and every save from then on goes by it. The others take
the clips of a few videos at a time and write only the rows whose verdict changes, so that nobody
waits for longer than one such range. `datasets.refiltering` is set until the last one: a refilter
that was interrupted can be seen and finished.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, Engine, func, select, update

from curate.configs.errors import UsageError
from curate.configs.pipeline import Pipeline
from curate.configs.schema import LEVELS, Level
from curate.db.datasets import Dataset, write_pipeline
from curate.db.engine import reading, writing
from curate.db.filters.judge import Judge
from curate.db.save.batch import lock_dataset
from curate.db.schema import clips, datasets, videos

ROWS_AT_ONCE = 20_000  # rows judged in a transaction, unless one video has more
Report = Callable[[int, int], None]  # rows judged, of how many


class VideoRange(NamedTuple):
    """Videos judged in one transaction: the first id, the last id, and rows, clips included."""

    first: int
    last: int
    rows: int

    def chosen(self, level: Level) -> ColumnElement[bool]:
        """Whether a row is one of these videos, or a clip of one."""
        video_id = videos.c.id if level == "video" else clips.c.video_id
        return video_id.between(self.first, self.last)


def replace_pipeline(
    engine: Engine, dataset: Dataset, pipeline: Pipeline, report: Report | None = None
) -> dict[str, int]:
    """Give a dataset changed filters and apply them to every clip and video that has met them.

    Returns rows by what happened: `revived` and `dropped`. Nothing is scored again: each row keeps
    its position. Rows at work get their verdict when they are saved. Raises UsageError when another
    command changes the pipeline, see `write_pipeline`.
    """
    judge = Judge.of(dataset, pipeline)
    with writing(engine) as connection:
        write_pipeline(connection, dataset, pipeline)
        _mark(connection, dataset, json.dumps(judge.names))
    with reading(engine) as connection:
        ranges = video_ranges(connection, dataset.id)
    rows = sum(of_range.rows for of_range in ranges)
    dialect = engine.dialect.name
    judged = revived = dropped = 0
    for of_range in ranges:
        chosen = {level: of_range.chosen(level) for level in LEVELS}
        with reading(engine) as connection:  # takes no lock, and most ranges need none
            changing = [judge.changing(level, dialect, chosen[level]).limit(1) for level in LEVELS]
            changes = any(connection.execute(query).first() for query in changing)
        if changes:
            with writing(engine) as connection:
                _check_pipeline(connection, dataset, pipeline)
                for level in LEVELS:
                    up, down = judge.apply(connection, level, chosen[level])
                    revived, dropped = revived + up, dropped + down
        judged += of_range.rows
        if report:
            report(judged, rows)
    with writing(engine) as connection:
        _check_pipeline(connection, dataset, pipeline)
        _mark(connection, dataset, None)
    return {"revived": revived, "dropped": dropped}


def video_ranges(connection: Connection, dataset_id: int) -> list[VideoRange]:
    """The videos of a dataset in order, cut where ROWS_AT_ONCE rows are together."""
    sizes = select(videos.c.id, func.coalesce(videos.c.num_clips, 0) + 1).order_by(videos.c.id)
    ranges: list[VideoRange] = []
    first = last = rows = 0
    stream = connection.execution_options(yield_per=ROWS_AT_ONCE)
    for video_id, size in stream.execute(sizes.where(videos.c.dataset_id == dataset_id)):
        if rows and rows + size > ROWS_AT_ONCE:
            ranges.append(VideoRange(first, last, rows))
            rows = 0
        first, last, rows = first if rows else video_id, video_id, rows + size
    return [*ranges, VideoRange(first, last, rows)] if rows else ranges


def _mark(connection: Connection, dataset: Dataset, names: str | None) -> None:
    connection.execute(
        update(datasets).where(datasets.c.id == dataset.id).values(refiltering=names)
    )


def _check_pipeline(connection: Connection, dataset: Dataset, pipeline: Pipeline) -> None:
    """Raise UsageError unless the dataset still has this pipeline, which then stays until the
    transaction ends.
    """
    # exclusive: a clip that is saved beside it would not see that its video falls
    locked = lock_dataset(connection, dataset.id, exclusive=True)
    if locked.pipeline != json.dumps(pipeline.frozen()):
        raise UsageError(
            what=f"Another command changed the pipeline of dataset {dataset.name} while filters "
            f"were applied to its rows. Finish it with: `curate refilter {dataset.name}`"
        )
