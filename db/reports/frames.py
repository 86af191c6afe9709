"""What became of the frames of videos on their way to clips, and which videos lost some."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, and_, case, func, or_, select

from curate.db.engine import reading
from curate.db.schema import videos

LOST_WHERE = "frames_decoded < num_frames OR frames_unplaced <> 0"
"""Of a video: whether it lost frames."""


@dataclass(frozen=True)
class FrameCounts:
    """The frames of the videos that were split, without those split before frames were counted.

    packets = decoded + lost, and decoded = in_clips + leftover + unplaced.
    """

    videos: int = 0
    packets: int = 0  # that show a picture
    decoded: int = 0
    leftover: int = 0  # in pieces that are too short for a clip, or cut off
    unplaced: int = 0  # in no clip for no reason
    scenes_short: int = 0
    clips: int = 0
    videos_with_losses: int = 0
    example_id: int | None = None  # of these
    example: str | None = None  # its path

    @property
    def lost(self) -> int:
        """Frames that did not decode."""
        return self.packets - self.decoded

    @property
    def in_clips(self) -> int:
        """Frames in clips, as they were planned."""
        return self.decoded - self.leftover - self.unplaced


def count_frames(engine: Engine, dataset_id: int) -> FrameCounts:
    """Count the frames of a dataset. Reads the rows of all its videos."""
    v = videos.c
    split = and_(v.dataset_id == dataset_id, v.frames_decoded.is_not(None))
    lost = or_(v.frames_decoded < v.num_frames, v.frames_unplaced != 0)
    packets = case((v.num_frames > v.frames_decoded, v.num_frames), else_=v.frames_decoded)
    sums = {
        "packets": packets,
        "decoded": v.frames_decoded,
        "leftover": v.frames_leftover,
        "unplaced": v.frames_unplaced,
        "scenes_short": v.scenes_short,
        "clips": v.num_clips,
        "videos_with_losses": case((lost, 1), else_=0),
    }
    columns = [func.coalesce(func.sum(value), 0).label(name) for name, value in sums.items()]
    with reading(engine) as connection:
        query = select(func.count().label("videos"), *columns).where(split)
        row = connection.execute(query).mappings().one()
        numbers: dict[str, Any] = {name: int(n) for name, n in row.items()}
        if not numbers["videos_with_losses"]:
            return FrameCounts(**numbers)
        first = select(v.id, v.path).where(split, lost).order_by(v.id).limit(1)
        example_id, path = connection.execute(first).one()
    return FrameCounts(**numbers, example_id=int(example_id), example=str(path))
