"""`opensora_pku`: a JSON list of path, caption, size, frame rate and length."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path

from curate.export.format import MP4, FolderFormat, Item, Laid, Way, finite, json_object


def duration_of(frames: int | None, fps: float | None) -> float | None:
    """Seconds that give just that many frames as `int(fps * duration)`, by which one of the readers
    counts them.
    """
    if frames is None or not fps:
        return None
    duration = frames / fps
    while int(fps * duration) < frames:
        duration = math.nextafter(duration, math.inf)
    return duration


class OpenSoraPku(FolderFormat):
    """ASCII alone, for its reader opens the list in the encoding of its host. Some versions of it
    pass over clips without a duration, in seconds, others count frames by num_frames.
    """

    name = "opensora_pku"
    reader = "mindone's opensora_pku (a line FOLDER,videos.json in the file of --data)"
    endings = MP4

    def refuses(self, item: Item, way: Way) -> str:
        """Clips without a size, frame rate or length, which its reader fails on."""
        if None in (item.width, item.height, item.fps, item.num_frames):
            return "have no size, frame rate or length, which this format needs"
        return ""

    def write(self, laid: Iterable[Laid], folder: Path, way: Way) -> None:
        """The list, an object a line."""
        with (folder / "videos.json").open("w", encoding="ascii", newline="") as stream:
            stream.write("[")
            for number, clip in enumerate(laid):
                more = json_object(way.names, map(finite, clip.values))
                entry = more | {
                    "path": clip.video,
                    "cap": clip.text,
                    "resolution": {"height": clip.height, "width": clip.width},
                    "fps": clip.fps,
                    "num_frames": clip.num_frames,
                    "duration": duration_of(clip.num_frames, clip.fps),
                }
                stream.write(f"{',' if number else ''}\n{json.dumps(entry)}")
            stream.write("\n]\n")
