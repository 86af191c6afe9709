"""What became of frames: sums that add up, and the videos that lost some."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from curate.db.reports.frames import FrameCounts, count_frames
from tests.pipelines import Line, make_line

COLUMNS = ("num_frames", "frames_decoded", "frames_leftover", "frames_unplaced", "scenes_short")


@pytest.fixture
def line(database_url: str, home: Path) -> Line:
    return make_line(database_url, home, ["score"])


def put(line: Line, path: str, *values: int | None, clips: int = 0) -> None:
    line.put_clips(max(clips, 1), "score", path)
    names = (*COLUMNS, "num_clips")
    sets = ", ".join(f"{name} = :{name}" for name in names)
    with line.engine.begin() as connection:
        connection.execute(
            text(f"UPDATE videos SET {sets} WHERE path = :path"),
            {**dict(zip(names, (*values, clips), strict=True)), "path": path},
        )


def test_sums_add_up_and_name_a_video_that_lost_frames(line: Line) -> None:
    put(line, "/v/whole.mp4", 100, 100, 30, 0, 2, clips=1)
    put(line, "/v/damaged.mp4", 60, 48, 8, 0, 1, clips=2)
    put(line, "/v/guessed.mp4", 10, 12, 12, 0, 1)  # more frames than its packets promise
    put(line, "/v/old.mp4", 50, None, None, None, None)  # split before frames were counted
    found = count_frames(line.engine, line.dataset.id)
    assert (found.videos, found.packets, found.decoded, found.lost) == (3, 172, 160, 12)
    assert (found.in_clips, found.leftover, found.unplaced) == (110, 50, 0)
    assert (found.scenes_short, found.clips) == (4, 3)
    assert (found.videos_with_losses, found.example) == (1, "/v/damaged.mp4")


def test_frames_in_no_clip_are_a_loss(line: Line) -> None:
    put(line, "/v/a.mp4", 10, 10, 0, 4, 0, clips=1)
    found = count_frames(line.engine, line.dataset.id)
    assert (found.videos_with_losses, found.lost, found.in_clips) == (1, 0, 6)


def test_a_dataset_without_split_videos_has_none(line: Line) -> None:
    assert count_frames(line.engine, line.dataset.id) == FrameCounts()
