"""How much there is to decode in a file, as its header says: no packet is read."""

from __future__ import annotations

from typing import NamedTuple

from PIL import Image

from curate.configs.row_errors import MediaError
from curate.tasks.inputs.extensions import is_image
from curate.tasks.video.decode import open_file, open_media, video_stream

MICROSECONDS = 1_000_000  # units of a container's duration in a second


class Glance(NamedTuple):
    """Seconds, frames, and pixels of all frames together; 0 where the header does not say."""

    seconds: float = 0.0
    frames: float = 0.0
    pixels: float = 0.0


def glance(path: str) -> Glance:
    """What the header of a video or image says; nothing of one that cannot be read.

    Raises ServiceError when the store of a URL does not answer.
    """
    try:
        if is_image(path):
            with open_file(path) as file, Image.open(file) as image:
                return Glance(0.0, 1.0, float(image.width * image.height))
        with open_media(path) as container:
            stream = video_stream(container)
            seconds = 0.0
            if stream.duration and stream.time_base:
                seconds = float(stream.duration * stream.time_base)
            elif container.duration:
                seconds = container.duration / MICROSECONDS
            frames = float(stream.frames or seconds * float(stream.guessed_rate or 0))
            size = stream.codec_context.width * stream.codec_context.height
            return Glance(seconds, frames, frames * size)
    except (MediaError, OSError, ValueError, Image.DecompressionBombError):
        return Glance()
