"""What stages of a dataset took, by stage and by video, and what came of each video."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import ColumnElement, Engine, Float, and_, case, func, literal, select

from curate.configs.pipeline import DONE, Pipeline
from curate.db.engine import reading
from curate.db.schema import FILE_SIZE, batches, clips, column_of, videos


@dataclass(frozen=True)
class StageCost:
    """What the batches of a stage took, in seconds: of the CPU (of those that say so), and of its
    processes, which also wait, claim and save.
    """

    cpu: float = 0.0
    busy: float = 0.0


def stage_costs(engine: Engine, dataset_id: int) -> dict[str, StageCost]:
    """What each stage of a dataset took, by what is left of its batches (`curate db --prune`)."""
    sums = (func.coalesce(func.sum(batches.c.cpu_seconds), 0.0), func.sum(batches.c.seconds))
    query = select(batches.c.stage, *sums).where(batches.c.dataset_id == dataset_id)
    with reading(engine, "AUTOCOMMIT") as connection:
        rows = connection.execute(query.group_by(batches.c.stage))
        return {stage: StageCost(float(cpu), float(busy)) for stage, cpu, busy in rows}


class VideoPart(NamedTuple):
    """The rows of one video in a batch, and the seconds that they took."""

    video_id: int
    rows: int
    cpu: float
    wall: float


@dataclass(frozen=True)
class MeasuredBatch:
    """A batch and what it took. `worker` is the process."""

    stage: str
    worker: str
    parts: Sequence[VideoPart]


def measured_batches(engine: Engine, dataset_id: int) -> list[MeasuredBatch]:
    """The batches of a dataset that were measured, in the order in which they began."""
    b = batches.c
    query = select(b.stage, b.worker, b.by_video).where(b.dataset_id == dataset_id)
    query = query.where(b.by_video.is_not(None)).order_by(b.started_at, b.id)
    with reading(engine, "AUTOCOMMIT") as connection:
        return [
            MeasuredBatch(stage, worker, [VideoPart(*part) for part in json.loads(by_video)])
            for stage, worker, by_video in connection.execute(query)
        ]


class VideoYield(NamedTuple):
    """What came of a video: its path, its clips, those kept, and the bytes of their files."""

    video_id: int
    path: str
    clips: int
    kept: int
    clip_bytes: int


def video_yields(engine: Engine, dataset_id: int, pipeline: Pipeline) -> list[VideoYield]:
    """What came of each video of a dataset."""
    size: ColumnElement[float] = literal(0.0, Float)
    if FILE_SIZE in pipeline.columns():
        size = column_of(clips, FILE_SIZE)
    joined = videos.outerjoin(clips, clips.c.video_id == videos.c.id)
    kept = case((clips.c.status == "kept", 1), else_=0)
    query = (
        select(videos.c.id, videos.c.path, func.count(clips.c.id), func.sum(kept), func.sum(size))
        .select_from(joined)
        .where(videos.c.dataset_id == dataset_id)
        .group_by(videos.c.id, videos.c.path)
    )
    with reading(engine, "AUTOCOMMIT") as connection:
        return [
            VideoYield(int(i), path, int(n), int(k or 0), int(b or 0))
            for i, path, n, k, b in connection.execute(query)
        ]


def clip_bytes(engine: Engine, dataset_id: int, pipeline: Pipeline) -> int:
    """The bytes of the files of a dataset's clips; 0 where none are written."""
    if FILE_SIZE not in pipeline.columns():
        return 0
    query = select(func.coalesce(func.sum(column_of(clips, FILE_SIZE)), 0))
    with reading(engine, "AUTOCOMMIT") as connection:
        return int(connection.execute(query.where(clips.c.dataset_id == dataset_id)).scalar_one())


class Passed(NamedTuple):
    """How much of the videos of a dataset is through a stage, by each driver of cost."""

    videos: float = 0.0
    bytes: float = 0.0
    seconds: float = 0.0
    frames: float = 0.0
    pixels: float = 0.0


def passed_videos(engine: Engine, dataset_id: int, pipeline: Pipeline) -> dict[str, Passed]:
    """How much of the videos is through each stage of videos; those that ended are through all."""
    v = videos.c
    drivers = (v.size_bytes, v.duration, v.num_frames, 1.0 * v.num_frames * v.width * v.height)
    sums = [func.coalesce(func.sum(driver), 0) for driver in drivers]
    going_on = and_(v.status == "active", v.stage != DONE)
    at = case((going_on, v.stage), else_=DONE).label("at")
    query = select(at, func.count(), *sums).where(v.dataset_id == dataset_id).group_by(at)
    with reading(engine, "AUTOCOMMIT") as connection:
        found = {row[0]: Passed(*map(float, row[1:])) for row in connection.execute(query)}
    passed: dict[str, Passed] = {}
    through = found.get(DONE, Passed())
    for stage in reversed(pipeline.level_stages("video")[:-1]):
        passed[stage] = through
        here = found.get(stage, Passed())
        through = Passed(*(a + b for a, b in zip(through, here, strict=True)))
    return passed
