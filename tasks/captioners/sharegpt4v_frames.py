"""Frames as ShareGPT4V takes them, one or a few of a clip: padded to a square, and then as CLIP's."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from curate.tasks.models import preprocess


def frame_indices(count: int, wanted: int) -> list[int]:
    """Which `wanted` of `count` frames: the middles of as many equal parts; of one the middle of
    the clip.
    """
    if count < 1 or wanted < 1:
        raise ValueError("count and wanted must be 1 or more")
    return [(2 * number + 1) * count // (2 * wanted) for number in range(wanted)]


def padded(
    frame: NDArray[np.uint8], colour: tuple[float, float, float] = preprocess.CLIP.mean
) -> NDArray[np.uint8]:
    """A frame (h, w, 3) in the middle of a square of one colour, 0 to 1; of two middles the upper
    or left one.
    """
    height, width = frame.shape[:2]
    if height == width:
        return frame
    side = max(height, width)
    square = np.empty((side, side, 3), np.uint8)
    square[:] = [int(part * 255) for part in colour]
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = frame
    return square


def pixels(frame: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    """A frame (h, w, 3) as (3, side, side): padded with the mean colour of CLIP's pictures,
    resized, normalised.
    """
    return preprocess.pixels(padded(frame), preprocess.Preprocess(side))
