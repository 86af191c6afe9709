"""Frames as Qwen2-VL and Qwen2.5-VL take them: which of a clip, how large, cut into patches, and
where each lies.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PATCH, MERGE, PAIR = 14, 2, 2  # pixels of a patch; patches of a word, each way; frames of a patch
FEWEST, MOST = 4, 768  # frames
_LONGEST = 200  # times the shorter side
_TOTAL = 24_576 * 28 * 28  # pixels of a clip, of which a patch of two frames may have one half


@dataclass(frozen=True)
class Pixels:
    """Bounds of a frame's pixels after resizing; `largest` is shared by the frames of a long clip."""

    smallest: int = 128 * 28 * 28
    largest: int = 448 * 672

    def of(self, frames: int) -> Pixels:
        """The bounds in a clip of so many frames."""
        shared = max(min(self.largest, int(_TOTAL / frames * PAIR)), int(self.smallest * 1.05))
        return Pixels(self.smallest, min(self.largest, shared))


def frame_indices(count: int, fps: float, wanted: float = 4.0) -> list[int]:
    """Which of `count` frames, `fps` a second, make a clip of `wanted` a second: an even number,
    from first to last.

    At least 4 where there are as many, at most 768.
    """
    if count < 1 or fps <= 0 or wanted <= 0:
        raise ValueError("count, fps and wanted must be above 0")
    most = min(MOST, count) // PAIR * PAIR
    number = min(max(count / fps * wanted, FEWEST), most, count)
    number = max(1, int(number // PAIR * PAIR))
    return [int(n) for n in np.linspace(0, count - 1, number).round()]


def resized(
    height: int, width: int, bounds: Pixels, factor: int = PATCH * MERGE
) -> tuple[int, int]:
    """Rows and columns of a frame after resizing: multiples of `factor` that keep its shape, within
    the bounds.

    Raises ValueError for a frame 200 times as long as it is wide.
    """
    if max(height, width) / min(height, width) > _LONGEST:
        raise ValueError(
            f"a frame of {width} x {height} is too long for Qwen-VL: at most {_LONGEST} times its width"
        )
    rows, columns = round(height / factor) * factor, round(width / factor) * factor
    if rows * columns > bounds.largest:
        shrink = math.sqrt(height * width / bounds.largest)
        rows = max(factor, math.floor(height / shrink / factor) * factor)
        columns = max(factor, math.floor(width / shrink / factor) * factor)
    elif rows * columns < bounds.smallest:
        grow = math.sqrt(bounds.smallest / (height * width))
        rows, columns = (math.ceil(side * grow / factor) * factor for side in (height, width))
    return rows, columns


def patches(
    clip: NDArray[np.uint8], bounds: Pixels
) -> tuple[NDArray[np.float32], tuple[int, int, int]]:
    """A clip (n, h, w, 3) as patches, (count, 3 · 2 · 14 · 14), and how many there are in time,
    down and across.

    Bicubic resizing and CLIP's normalization; patches of four in a square follow each other, and
    two frames lie in each. An odd last frame is doubled.
    """
    from PIL import Image

    from curate.tasks.models.preprocess import CLIP

    rows, columns = resized(clip.shape[1], clip.shape[2], bounds.of(len(clip)))
    size, how = (columns, rows), Image.Resampling.BICUBIC
    frames = np.stack([np.asarray(Image.fromarray(f).resize(size, how)) for f in clip]).astype(
        np.float32
    )
    frames = frames * np.float32(1 / 255)
    frames = (frames - np.array(CLIP.mean, np.float32)) / np.array(CLIP.deviation, np.float32)
    if len(frames) % PAIR:
        frames = np.concatenate([frames, frames[-1:]])
    grid = len(frames) // PAIR, rows // PATCH, columns // PATCH
    cut = frames.reshape(
        grid[0], PAIR, grid[1] // MERGE, MERGE, PATCH, grid[2] // MERGE, MERGE, PATCH, 3
    )
    return np.ascontiguousarray(cut.transpose(0, 2, 5, 3, 6, 8, 1, 4, 7)).reshape(
        math.prod(grid), -1
    ), grid


def patch_places(rows: int, columns: int) -> NDArray[np.int64]:
    """Row and column (2, rows · columns) of each patch of a frame, in the order of `patches`."""
    both = np.indices((rows, columns)).reshape(2, rows // MERGE, MERGE, columns // MERGE, MERGE)
    return both.transpose(0, 1, 3, 2, 4).reshape(2, -1)


def windows(rows: int, columns: int, side: int) -> tuple[NDArray[np.int64], list[int]]:
    """Words of a frame (rows · columns of them) in the order of windows of side x side, and how
    many each has.
    """
    numbers = np.arange(rows * columns).reshape(rows, columns)
    parts = [
        numbers[y : y + side, x : x + side].reshape(-1)
        for y in range(0, rows, side)
        for x in range(0, columns, side)
    ]
    return np.concatenate(parts), [len(part) for part in parts]


def word_places(
    before: int, grid: tuple[int, int, int], after: int, step: float = 1.0
) -> tuple[NDArray[np.int64], int]:
    """Places (3: time, row, column) of a text with a clip in it, and the first place after it.

    The clip has `grid` patches; each two frames are `step` apart in time, rounded down.
    """
    first = np.broadcast_to(np.arange(before), (3, before))
    seen = np.indices((grid[0], grid[1] // MERGE, grid[2] // MERGE)).reshape(3, -1)
    seen[0] = (seen[0] * step).astype(np.int64)
    seen += before
    start = int(seen.max()) + 1
    last = np.broadcast_to(np.arange(start, start + after), (3, after))
    return np.concatenate([first, seen, last], axis=1), start + after
