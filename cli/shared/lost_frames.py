"""Videos of which frames were lost: what is said of them, and what to type to see them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from curate.configs.shown import counted
from curate.db.reports.frames import LOST_WHERE, FrameCounts

_SHOWN = "relpath, num_frames, frames_decoded, frames_unplaced, time_jumps"


def lost_text(frames: FrameCounts) -> str:
    """How many frames were lost, in how many videos; empty when none was."""
    if not frames.videos_with_losses:
        return ""
    parts = [f"{frames.lost:,} of {frames.packets:,} did not decode"] if frames.lost else []
    if frames.unplaced:
        parts.append(f"{frames.unplaced:,} decoded ones are in no clip (an error of curate)")
    return f"{counted(frames.videos_with_losses, 'video')} lost frames: {', '.join(parts)}"


def lost_json(frames: FrameCounts) -> dict[str, Any]:
    """Lost frames in the form of a failure, though no row failed."""
    return {
        "stage": None, "level": "video", "error": "FramesLost", "rows": frames.videos_with_losses,
        "example_id": frames.example_id, "path": frames.example, "message": lost_text(frames),
        "gone": 0,
    }  # fmt: skip


def list_lost(dataset_id: int) -> Sequence[str]:
    """The command line, behind `curate`, that lists the videos of a dataset that lost frames."""
    where = f"dataset_id = {dataset_id} AND ({LOST_WHERE})"
    return ("sql", f"SELECT {_SHOWN} FROM videos WHERE {where}")  # noqa: S608  an int and constants
