"""Deletes what nobody needs any more: old rows of `batches`, and videos whose sources are gone."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Engine, delete, select

from curate.configs.pipeline import Pipeline
from curate.db.datasets import Dataset
from curate.db.engine import now, reading, writing
from curate.db.filters.verdict import verdict_of
from curate.db.queue.leases import count_leased
from curate.db.save.batch import lock_dataset
from curate.db.save.clips import forget_clips
from curate.db.schema import batches, clips, videos

PRUNED_AT_ONCE = 10_000  # rows a transaction, so that workers are not kept from writing


def prune_batches(engine: Engine, dataset_id: int, days: float) -> int:
    """Delete the batches of a dataset that began more than so many days ago; returns how many."""
    pruned = 0
    while True:
        with writing(engine) as connection:
            before = now(connection) - days * 86400
            old = select(batches.c.id).where(
                batches.c.dataset_id == dataset_id, batches.c.started_at < before
            )
            some = delete(batches).where(batches.c.id.in_(old.limit(PRUNED_AT_ONCE)))
            count = connection.execute(some).rowcount
        pruned += count
        if count < PRUNED_AT_ONCE:
            return pruned


def dropped_with_files(
    engine: Engine, pipeline: Pipeline, stage: str, ids: Sequence[int]
) -> list[int]:
    """The clips of videos that a filter before the stage drops, and that have a file of it."""
    before = verdict_of(pipeline, stage, "clip", engine.dialect.name).is_not(None)
    query = select(clips.c.id).where(
        clips.c.video_id.in_(list(ids)),
        clips.c.status == "dropped",
        clips.c.path.is_not(None),
        before,
    )
    with reading(engine) as connection:
        return [int(i) for i in connection.execute(query).scalars()]


def unneeded_samples(
    engine: Engine, video_ids: Sequence[int], dataset_ids: Sequence[int] | None = None
) -> set[int]:
    """Those of the videos whose samples no stage will read: there is no such video any more, or it
    ended without a clip. With `dataset_ids`, only videos of these.
    """
    if not video_ids:
        return set()
    has_clips = select(clips.c.id).where(clips.c.video_id == videos.c.id).exists()
    query = select(videos.c.id, videos.c.dataset_id, videos.c.status, has_clips)
    query = query.where(videos.c.id.in_(list(video_ids)))
    with reading(engine) as connection:
        known = {int(row[0]): row for row in connection.execute(query)}
    ended = {i for i, (*_, status, some) in known.items() if status != "active" and not some}
    if dataset_ids is None:
        return (set(video_ids) - known.keys()) | ended
    return {i for i in ended if known[i].dataset_id in dataset_ids}


def rows_at_work(engine: Engine, dataset: Dataset) -> int:
    """How many rows of a dataset are at work."""
    with reading(engine) as connection:
        return count_leased(connection, dataset.id)


def forget_videos(
    engine: Engine, dataset: Dataset, pipeline: Pipeline, video_ids: Sequence[int]
) -> int:
    """Delete videos with their clips; clips that were duplicates of these are compared again.
    Returns the rows at work. Where there are any, nothing was done.
    """
    with writing(engine) as connection:
        lock_dataset(connection, dataset.id, exclusive=True)
        at_work = count_leased(connection, dataset.id)
        if not at_work:
            forget_clips(connection, dataset.id, video_ids, pipeline)
            connection.execute(delete(videos).where(videos.c.id.in_(list(video_ids))))
        return at_work
