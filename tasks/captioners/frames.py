"""The frames that captioners want of a clip, by one decode for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from curate.tasks.captioners.interface import Captioner, Span, Wanted
from curate.tasks.inputs.walk import is_image
from curate.tasks.stage import Clip

if TYPE_CHECKING:
    from curate.tasks.captioners.interface import Frames
    from curate.tasks.video.frame_picker import Pick, Shape


def frames_for(clip: Clip, captioners: Sequence[Captioner]) -> list[Frames]:
    """An array of frames for each captioner, out of the source of the clip. Raises MediaError,
    StageError.
    """
    if is_image(clip.video.path):
        return _of_image(clip, captioners)
    from curate.tasks.video.frame_picker import Pick, pick_frames

    def choose(shape: Shape) -> list[Pick]:
        span = Span(shape.num_frames, _fps(clip, shape.num_frames), shape.width, shape.height)
        return [Pick(want.indices, want.size) for want in _wishes(span, captioners)]

    planned = int(clip["num_frames"] or 1)
    return pick_frames(clip.video.path, clip.start_pts, clip.end_pts, planned, choose)


def _wishes(span: Span, captioners: Sequence[Captioner]) -> list[Wanted]:
    return [captioner.wanted(span) for captioner in captioners]


def _fps(clip: Clip, num_frames: int) -> float | None:
    seconds = float((clip.end_pts - clip.start_pts) * clip.time_base)
    return num_frames / seconds if seconds > 0 else None


def _of_image(clip: Clip, captioners: Sequence[Captioner]) -> list[Frames]:
    import numpy as np
    from PIL import Image

    from curate.tasks.video.images import read_image

    pixels = read_image(clip.video.path).pixels
    height, width = pixels.shape[:2]
    arrays = []
    for want in _wishes(Span(1, None, width, height), captioners):
        size = want.size or (width, height)
        scaled = (
            pixels
            if size == (width, height)
            else Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)
        )
        arrays.append(np.stack([np.asarray(scaled, np.uint8)] * len(want.indices)))
    return arrays
