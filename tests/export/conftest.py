"""A shelf with clips of every kind of caption."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from curate.db.engine import writing
from curate.tasks.inputs.files import fingerprint_now
from tests.drawing import picture
from tests.export.shelf import CAPTIONS, FRAMES, Shelf, make_shelf
from tests.media import write_video

TICK = 512  # of an mp4 at 24 frames a second, whose time base is 1/12288


@pytest.fixture
def shelf(home: Path, tmp_path: Path) -> Shelf:
    """Dataset `pets`: seven clips of a.mp4, with CAPTIONS, and two of b.mp4."""
    made = make_shelf(home, tmp_path / "clips")
    made.dataset("pets")
    made.put("a.mp4", CAPTIONS)
    made.put("b.mp4", ["two cats", "three cats"])
    return made


@pytest.fixture
def sourced(shelf: Shelf, tmp_path: Path) -> Shelf:
    """The shelf with sources in the folder `videos`: a clip is six frames of its source."""
    (tmp_path / "videos/deep").mkdir(parents=True)
    for number, (name, clips) in enumerate({"a.mp4": 7, "b.mp4": 2}.items()):
        frames = (picture(100 * number + n, size=(64, 48)) for n in range(clips * FRAMES))
        path = write_video(tmp_path / "videos/deep" / name, frames)
        values = {
            "path": str(path), "fingerprint": fingerprint_now(str(path)), "name": name,
            "size": path.stat().st_size, "extra": '{"licence": "CC0", "by": "me"}',
        }  # fmt: skip
        with writing(shelf.engine) as connection:
            connection.execute(
                text(
                    "UPDATE videos SET path = :path, fingerprint = :fingerprint, codec = 'h264',"
                    " size_bytes = :size, extra = :extra, time_base_num = 1, width = 64,"
                    " time_base_den = 12288, media_type = 'video' WHERE relpath = :name"
                ),
                values,
            )
            length = FRAMES * TICK
            connection.execute(
                text(
                    f"UPDATE clips SET start_pts = clip_index * {length},"
                    f" end_pts = (clip_index + 1) * {length}"
                )
            )
    return shelf
