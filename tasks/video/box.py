"""The picture inside the bars of a clip: the box that its frames agree on, and what lies in it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from curate.tasks.video.measures import Bars

Box = tuple[int, int, int, int]  # left, top, width, height

ALIKE = 0.8  # share of the frames that show a bar's end, and must show it at the same line


def common_box(frames: Sequence[Bars], width: int, height: int) -> Box | None:
    """The picture inside the bars of the frames of a clip of this size; None: who knows."""
    widths = [common(side) for side in zip(*(bars.sides for bars in frames), strict=True)]
    if not widths or None in widths:
        return None
    left, top, right, bottom = (0 if width is None else width for width in widths)
    inner = width - left - right, height - top - bottom
    return None if min(inner) < 2 else (left, top, *inner)


def common(values: Sequence[int | None]) -> int | None:
    """The width of a bar that nearly all frames agree on; 0: there is none; None: who knows."""
    known = [value for value in values if value is not None]
    if not known or len(known) < min(2, len(values)):
        return None
    width = Counter(known).most_common(1)[0][0]
    return width if sum(abs(v - width) <= 2 for v in known) >= ALIKE * len(known) else 0


def cut_to(box: Box, picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The part of a picture (H x W or H x W x 3) inside a box, in pixels of one of this size.

    No pixel lies outside the box in part. All of it where no pixel would be left.
    """
    left, top, right, bottom = edges(box, picture.shape, size)
    inside = picture[top:bottom, left:right]
    return inside if inside.size else picture


def edges(box: Box, shape: Sequence[int], size: tuple[int, int]) -> Box:
    """Left, top, right and bottom of a box of one size, in a picture of another shape."""
    x, y, width, height = box
    rows, columns = shape[:2]
    left, right = ceil(x * columns / size[0]), (x + width) * columns // size[0]
    top, bottom = ceil(y * rows / size[1]), (y + height) * rows // size[1]
    return left, top, right, bottom


def parse_box(text: str) -> Box:
    """The box of a value of `border_box`. Raises ValueError."""
    match json.loads(text):
        case [int(x), int(y), int(width), int(height)] if (
            min(x, y) >= 0 and min(width, height) >= 2 and max(x + width, y + height) <= 1 << 16
        ):
            return x, y, width, height
    raise ValueError(f"its border_box is {text!r}")
