"""Frames as PLLaVA takes them: which of a clip, how large, and how they are averaged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image, Resampling

SHORTER = 672  # what the authors' reader makes of the shorter side
LONGER = 640  # what their processor lets the longer have


def frame_indices(count: int, wanted: int) -> list[int]:
    """Which `wanted` of `count` frames: from the middle of the first of as many equal parts, a part
    apart.
    """
    if count < 1 or wanted < 1:
        raise ValueError("count and wanted must be 1 or more")
    part = (count - 1) / wanted
    first = int(part / 2)
    return [
        first + round(part * number) for number in range(wanted)
    ]  # halves to even, as NumPy rounds


def pixels(frame: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    """A frame (h, w, 3) as (3, side, side), resized in the three steps of the authors, and
    normalised as CLIP's.

    Their reader makes the shorter side 672 (bilinear), their processor shrinks it until the longer
    has at most 640, but not below `side` (bicubic), and CLIP's makes it `side` and takes the
    middle.
    """
    from PIL import Image as Pictures

    from curate.tasks.models import preprocess

    picture = _shorter(Pictures.fromarray(frame), SHORTER, Pictures.Resampling.BILINEAR)
    width, height = picture.size
    ratio = max(picture.size) / min(picture.size)
    shorter = max(min(width, height, int(min(LONGER, max(width, height)) / ratio)), side)
    picture = _shorter(picture, shorter, Pictures.Resampling.BICUBIC)
    kept = int(shorter * ratio)  # may be a pixel less than the longer side
    array = np.asarray(picture)
    array = array[:kept] if height > width else array[:, :kept]
    return preprocess.pixels(np.ascontiguousarray(array), preprocess.Preprocess(side))


def _shorter(picture: Image, side: int, how: Resampling) -> Image:
    width, height = picture.size
    longer = int(side * max(width, height) / min(width, height))
    return picture.resize((side, longer) if width <= height else (longer, side), how)


def pool(hidden: Any, shape: tuple[int, int, int], loader: Any) -> Any:
    """States (frames, rows, columns, width) averaged to `shape`, as (places, width): adaptive, in
    three dimensions.

    A product with a matrix of averages for each dimension, which any device has a kernel for.
    """
    ms = loader.ms
    frames, rows, columns, width = hidden.shape
    matrices = [
        loader.tensor(averages(n, m)) for n, m in zip((frames, rows, columns), shape, strict=True)
    ]
    hidden = ms.ops.matmul(matrices[0], hidden.reshape((frames, -1)))
    hidden = ms.ops.matmul(matrices[1], hidden.reshape((shape[0], rows, columns * width)))
    hidden = ms.ops.matmul(matrices[2], hidden.reshape((shape[0] * shape[1], columns, width)))
    return hidden.reshape((-1, width))


def averages(count: int, wanted: int) -> NDArray[np.float32]:
    """A matrix (wanted, count): row i averages from floor(i · count / wanted) to ceil((i + 1) ·
    count / wanted).
    """
    found = np.zeros((wanted, count), np.float32)
    for row in range(wanted):
        first, end = row * count // wanted, -(-(row + 1) * count // wanted)
        found[row, first:end] = 1 / (end - first)
    return found
