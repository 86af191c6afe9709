"""Decodes a clip once and gives each captioner the frames it needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from curate.tasks.captioners.interface import Captioner
from curate.tasks.inputs.extensions import is_image
from curate.tasks.stage import Clip
from curate.tasks.video.span import Pick, SpanShape

if TYPE_CHECKING:
    from curate.tasks.captioners.interface import Frames


def frames_for(clip: Clip, captioners: Sequence[Captioner]) -> list[Frames]:
    """An array of frames for each captioner, from the source of the clip.

    Raises MediaError, StageError.
    """
    if is_image(clip.video.path):
        return _frames_of_image(clip.video.path, captioners)
    from curate.tasks.video.frame_picker import pick_frames

    def choose(shape: SpanShape) -> list[Pick]:
        return [captioner.choose_frames(shape) for captioner in captioners]

    return pick_frames(clip.video.path, clip.span, choose)


def _frames_of_image(path: str, captioners: Sequence[Captioner]) -> list[Frames]:
    """The frames of a still image, a clip of one frame that a captioner may pick repeatedly."""
    import numpy as np
    from PIL import Image

    from curate.tasks.video.still_images import read_image

    pixels = read_image(path).pixels
    height, width = pixels.shape[:2]
    arrays = []
    for captioner in captioners:
        pick = captioner.choose_frames(SpanShape(1, None, width, height))
        scaled = pixels
        if pick.size not in (None, (width, height)):
            picture = Image.fromarray(pixels)
            scaled = np.asarray(picture.resize(pick.size, Image.Resampling.BICUBIC), np.uint8)
        arrays.append(np.stack([scaled] * len(pick.indices)))
    return arrays
