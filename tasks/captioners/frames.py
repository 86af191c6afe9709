"""The frames that captioners want of a clip, by one decode for all of them."""

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
    """An array of frames for each captioner, out of the source of the clip. Raises MediaError,
    StageError.
    """
    if is_image(clip.video.path):
        return _of_image(clip, captioners)
    from curate.tasks.video.frame_picker import pick_frames

    def choose(shape: SpanShape) -> list[Pick]:
        return [captioner.wanted(shape) for captioner in captioners]

    planned = int(clip["num_frames"] or 1)
    return pick_frames(clip.video.path, clip.start_pts, clip.end_pts, planned, choose)


def _of_image(clip: Clip, captioners: Sequence[Captioner]) -> list[Frames]:
    import numpy as np
    from PIL import Image

    from curate.tasks.video.images import read_image

    pixels = read_image(clip.video.path).pixels
    height, width = pixels.shape[:2]
    arrays = []
    for captioner in captioners:
        pick = captioner.wanted(SpanShape(1, None, width, height))
        size = pick.size or (width, height)
        scaled = (
            pixels
            if size == (width, height)
            else Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)
        )
        arrays.append(np.stack([np.asarray(scaled, np.uint8)] * len(pick.indices)))
    return arrays
