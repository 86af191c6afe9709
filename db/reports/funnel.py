"""The funnel of a dataset as rows: what came into each step of its pipeline, what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine

from curate.configs.pipeline import Pipeline
from curate.db.picks import count_picks
from curate.db.reports.frames import FrameCounts, count_frames
from curate.db.reports.overview import DatasetView, view_dataset


def funnel_rows(engine: Engine, dataset_id: int, pipeline: Pipeline) -> list[dict[str, Any]]:
    """A dict for each step of the pipeline, in order: how many rows came in and what became of
    them. Behind the stage that makes clips, the same of frames and of scenes, and of picks by hand
    where there are any.
    """
    view = view_dataset(engine, dataset_id, pipeline)
    picks = count_picks(engine, dataset_id)
    return rows_of_view(view, count_frames(engine, dataset_id), pipeline, picks)


def rows_of_view(
    view: DatasetView,
    frames: FrameCounts,
    pipeline: Pipeline,
    picks: Mapping[str, int] | None = None,
) -> list[dict[str, Any]]:
    """`funnel_rows` of a dataset that was looked at already."""
    by_hand = ", ".join(f"{rows} to {picked}" for picked, rows in (picks or {}).items())
    steps = [
        {
            "step": s.step, "kind": s.kind, "rows": f"{s.level}s", "came_in": s.came_in,
            "kept": s.kept, "dropped": s.dropped, "failed": s.failed, "waiting": s.unfinished,
            "kept_share": None if s.kept_share is None else round(s.kept_share, 6),
            "where": by_hand if s.kind == "pick" else s.where,
        }
        for s in view.steps
    ]  # fmt: skip
    maker = pipeline.maker("clip")
    behind = next((i for i, s in enumerate(steps, 1) if maker and s["step"] == maker.name), 0)
    steps[behind:behind] = _frames_and_scenes(frames)
    return steps


def _frames_and_scenes(frames: FrameCounts) -> list[dict[str, Any]]:
    """What became of the frames of videos, and of their scenes, until they were clips.

    Frames that did not decode count as failed, those in no clip as dropped.
    """
    if not frames.videos:
        return []
    failed = frames.lost + abs(frames.unplaced)
    flows = {
        "frames": (frames.packets, frames.in_clips, frames.leftover, failed),
        "scenes": (frames.clips + frames.scenes_short, frames.clips, frames.scenes_short, 0),
    }
    return [
        {
            "step": name, "kind": "count", "rows": name, "came_in": came_in, "kept": kept,
            "dropped": dropped, "failed": failed, "waiting": 0,
            "kept_share": round(kept / came_in, 6) if came_in else None, "where": "",
        }
        for name, (came_in, kept, dropped, failed) in flows.items()
    ]  # fmt: skip
