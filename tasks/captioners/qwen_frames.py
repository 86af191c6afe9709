"""Frames for Qwen-VL: which of a clip, their size, patches and positions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from curate.tasks.models.preprocess import CLIP

PATCH, MERGE, PAIR = 14, 2, 2  # pixels per patch side; patches per token side; frames per patch
FEWEST, MOST = 4, 768  # frames
LONGEST = 200  # times the shorter side, at most
_TOTAL = 24_576 * 28 * 28  # pixels of a clip; a pair of frames may have half of them


@dataclass(frozen=True)
class PixelBounds:
    """Bounds of a frame's pixels after resizing; the frames of a long clip share `largest`."""

    smallest: int = 128 * 28 * 28
    largest: int = 448 * 672

    def of(self, frames: int) -> PixelBounds:
        """The bounds for a clip of `frames` frames."""
        share = max(min(self.largest, int(_TOTAL / frames * PAIR)), int(self.smallest * 1.05))
        return PixelBounds(self.smallest, min(self.largest, share))


def frame_indices(count: int, fps: float, target_fps: float = 4.0) -> list[int]:
    """Indices of an even number of `count` frames that make `fps` into `target_fps`.

    From first to last frame; at least 4 if there are as many, at most 768.
    """
    if count < 1 or fps <= 0 or target_fps <= 0:
        raise ValueError("count, fps and target_fps must be above 0")
    most = min(MOST, count) // PAIR * PAIR
    number = min(max(count / fps * target_fps, FEWEST), most, count)
    number = max(1, int(number // PAIR * PAIR))
    return [int(n) for n in np.linspace(0, count - 1, number).round()]


def resized(
    height: int, width: int, bounds: PixelBounds, factor: int = PATCH * MERGE
) -> tuple[int, int]:
    """Rows and columns of a frame after resizing: multiples of `factor` within the bounds.

    The aspect ratio is kept as far as possible. Raises ValueError for a frame whose longer side is
    more than 200 times the shorter.
    """
    if max(height, width) / min(height, width) > LONGEST:
        raise ValueError(
            f"a frame of {width} x {height} is too long for Qwen-VL: "
            f"at most {LONGEST} times its width"
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
    clip: NDArray[np.uint8], bounds: PixelBounds
) -> tuple[NDArray[np.float32], tuple[int, int, int]]:
    """A clip (n, h, w, 3) as patches (count, 3 · 2 · 14 · 14), and their grid.

    The grid is (time, rows, columns). Frames are resized bicubically and normalised as for CLIP.
    Each patch spans two frames; an odd last frame is repeated. The four patches of a square are
    adjacent.
    """
    rows, columns = resized(clip.shape[1], clip.shape[2], bounds.of(len(clip)))
    size, method = (columns, rows), Image.Resampling.BICUBIC
    pictures = [np.asarray(Image.fromarray(frame).resize(size, method)) for frame in clip]
    return cut(normalised(np.stack(pictures), CLIP.mean, CLIP.deviation), PATCH)


def normalised(
    pictures: NDArray[np.uint8], mean: Sequence[float], deviation: Sequence[float]
) -> NDArray[np.float32]:
    """Pictures (n, h, w, 3) less the mean of their colours, by its deviation; both from 0 to 1."""
    frames = pictures.astype(np.float32) * np.float32(1 / 255)
    return (frames - np.array(mean, np.float32)) / np.array(deviation, np.float32)


def cut(frames: NDArray[np.float32], side: int) -> tuple[NDArray[np.float32], tuple[int, int, int]]:
    """Frames (n, h, w, 3) as patches (count, 3 · 2 · side · side) and their grid, as `patches`."""
    if len(frames) % PAIR:
        frames = np.concatenate([frames, frames[-1:]])
    grid = len(frames) // PAIR, frames.shape[1] // side, frames.shape[2] // side
    squares = frames.reshape(
        grid[0], PAIR, grid[1] // MERGE, MERGE, side, grid[2] // MERGE, MERGE, side, 3
    )
    ordered = np.ascontiguousarray(squares.transpose(0, 2, 5, 3, 6, 8, 1, 4, 7))
    return ordered.reshape(math.prod(grid), -1), grid


def patch_positions(rows: int, columns: int) -> NDArray[np.int64]:
    """Row and column (2, rows · columns) of each patch of a frame, in the order of `patches`."""
    both = np.indices((rows, columns)).reshape(2, rows // MERGE, MERGE, columns // MERGE, MERGE)
    return both.transpose(0, 1, 3, 2, 4).reshape(2, -1)


def windows(rows: int, columns: int, side: int) -> tuple[NDArray[np.int64], list[int]]:
    """The order of a frame's tokens (rows · columns) by windows of side x side.

    Also returns the number of tokens in each window.
    """
    numbers = np.arange(rows * columns).reshape(rows, columns)
    parts = [
        numbers[y : y + side, x : x + side].reshape(-1)
        for y in range(0, rows, side)
        for x in range(0, columns, side)
    ]
    return np.concatenate(parts), [len(part) for part in parts]


def token_positions(
    before: int, grid: tuple[int, int, int], after: int, step: float = 1.0
) -> tuple[NDArray[np.int64], int]:
    """Positions (3: time, row, column) of `before` tokens, a clip and `after` tokens.

    Also returns the first position after them. The clip has `grid` patches; pairs of frames are
    `step` apart in time, rounded down.
    """
    first = np.broadcast_to(np.arange(before), (3, before))
    clip = np.indices((grid[0], grid[1] // MERGE, grid[2] // MERGE)).reshape(3, -1)
    clip[0] = (clip[0] * step).astype(np.int64)
    clip += before
    start = int(clip.max()) + 1
    last = np.broadcast_to(np.arange(start, start + after), (3, after))
    return np.concatenate([first, clip, last], axis=1), start + after
