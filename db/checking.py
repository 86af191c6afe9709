"""Clips that have files and videos that have sources, for who looks whether all are there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Engine, func, select

from curate.configs.pipeline import Pipeline, StageStep
from curate.db.datasets import Dataset
from curate.db.engine import reading
from curate.db.schema import FILE_SIZE, clips, column_of, videos

AT_ONCE = 500  # rows that are read together


class CutClip(NamedTuple):
    """A clip that was cut, and what its row says of the file."""

    id: int
    video_id: int
    path: str
    size: int | None  # in bytes
    frames: int | None


class Source(NamedTuple):
    """A video, by the file that it was made from."""

    id: int
    path: str
    relpath: str
    fingerprint: str
    status: str


def file_writer(pipeline: Pipeline) -> StageStep | None:
    """The stage that writes the files of clips."""
    return next((step for step in pipeline.stages if "path" in step.columns), None)


def cut_clips(engine: Engine, dataset: Dataset, pipeline: Pipeline) -> Iterator[list[CutClip]]:
    """The clips of a dataset that are through the stage that writes files, and not dropped; AT_ONCE
    at a time.
    """
    after = 0
    while True:
        found = _cut(engine, pipeline, clips.c.dataset_id == dataset.id, clips.c.id > after)
        if found:
            yield found
            after = found[-1].id
        if len(found) < AT_ONCE:
            return


def still_so(engine: Engine, pipeline: Pipeline, seen: Sequence[CutClip]) -> list[CutClip]:
    """Those of the clips whose rows still say so: others were cut again meanwhile."""
    if not seen:
        return []
    now = set(_cut(engine, pipeline, clips.c.id.in_([clip.id for clip in seen])))
    return [clip for clip in seen if clip in now]


def not_through(engine: Engine, dataset: Dataset, stage: str) -> int:
    """How many clips wait for a stage, are at work in it, or failed in it."""
    query = select(func.count()).where(
        clips.c.dataset_id == dataset.id,
        clips.c.stage == stage,
        clips.c.status.in_(("active", "failed")),
    )
    with reading(engine) as connection:
        return int(connection.execute(query).scalar_one())


def _cut(engine: Engine, pipeline: Pipeline, *conditions: ColumnElement[bool]) -> list[CutClip]:
    writer = file_writer(pipeline)
    if writer is None:
        return []
    size: ColumnElement[Any] = column_of(clips, FILE_SIZE)
    query = (
        select(clips.c.id, clips.c.video_id, clips.c.path, size, clips.c.num_frames)
        .where(
            *conditions,
            clips.c.path.is_not(None),
            clips.c.status != "dropped",
            clips.c.stage != writer.name,
        )
        .order_by(clips.c.id)
        .limit(AT_ONCE)
    )
    with reading(engine) as connection:
        return [CutClip(*row) for row in connection.execute(query)]


def count_cut(engine: Engine, dataset: Dataset) -> int:
    """How many clips of a dataset have a file by their rows; a few more than `cut_clips` gives."""
    query = select(func.count()).where(clips.c.dataset_id == dataset.id, clips.c.path.is_not(None))
    with reading(engine) as connection:
        return int(connection.execute(query).scalar_one())


def sources(engine: Engine, dataset: Dataset) -> Iterator[list[Source]]:
    """The sources of a dataset, AT_ONCE at a time."""
    after = 0
    while True:
        query = (
            select(*[videos.c[name] for name in Source._fields])
            .where(videos.c.dataset_id == dataset.id, videos.c.id > after)
            .order_by(videos.c.id)
            .limit(AT_ONCE)
        )
        with reading(engine) as connection:
            found = [Source(*row) for row in connection.execute(query)]
        if found:
            yield found
            after = found[-1].id
        if len(found) < AT_ONCE:
            return
