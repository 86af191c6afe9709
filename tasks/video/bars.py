"""Bars around the picture of one frame: black, of one colour, or of the picture itself, blurred."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.tasks.video.measures import Bars

Gray = NDArray[np.uint8]

_OFF = 10  # gray levels by which a pixel differs from a bar
_CLEAN = 0.1  # most of the pixels of a line of a bar that may differ: noise, a logo
_FULL = 0.6  # least of the pixels of the first line of the picture that do
_SMOOTH = 0.45  # detail of a blurred bar, as a share of that of the picture
_DETAIL = 1.5  # gray levels; a picture with less is blurred itself
_THIN, _THICK = 0.02, 0.44  # of a side: what a blurred bar may take
_DARK = 24  # of 255; a bar of no more in any colour is black


def maybe_bars(small: Gray) -> bool:
    """Whether a small picture may have bars: a uniform side, or two that are blurred."""
    sides = [np.rot90(small, turn) for turn in range(4)]
    if any((abs(side[0].astype(int) - np.median(side[0])) > _OFF).mean() < 0.3 for side in sides):
        return True
    return any(blurred_bars(side) is not None for side in sides[:2])


def find_bars(gray: Gray, small: NDArray[np.uint8]) -> Bars:
    """The bars of a frame by its luma, as displayed, in full size; `small` is the same in RGB."""
    # a turn to the left puts the right side on top
    top, right, bottom, left = (uniform_bar(np.rot90(gray, turn)) for turn in range(4))
    bars = Bars(left, top, right, bottom)
    widest = max(bars.sides, key=lambda side: side or 0)
    if widest:
        place = bars.sides.index(widest)  # left, top, right, bottom
        line = np.rot90(small, (3, 0, 1, 2)[place])[0]
        colour = np.median(line.reshape(-1, 3), 0)
        return Bars(left, top, right, bottom, "black" if colour.max() <= _DARK else "coloured")
    rows, columns = blurred_bars(gray), blurred_bars(np.rot90(gray))
    if rows is not None and columns is None and top == bottom == 0:
        return Bars(0, rows[0], 0, rows[1], "blurred")
    if columns is not None and rows is None and left == right == 0:
        return Bars(columns[1], 0, columns[0], 0, "blurred")
    return bars


def uniform_bar(gray: Gray) -> int | None:
    """Lines of one colour at the top, up to where the picture begins along a straight edge.

    0: the first line is none. None: it cannot be told, because the picture is dark or flat there.
    """
    apart = np.abs(gray.astype(np.int16) - int(np.median(gray[0])))
    off = apart > _OFF
    if off[0].mean() >= _CLEAN:
        return 0
    places = np.flatnonzero(off.mean(0) > 0.02)
    if not len(places):
        return None
    picture = slice(places[0], places[-1] + 1)
    inside = off[:, picture].mean(1)
    first = int(np.argmax(inside >= 0.25))
    if not first or inside[first : first + 3].max() < _FULL:
        return None
    before = max(0, first - 4)  # next to the edge, coding rings
    rise = apart[first : first + 3, picture].mean() - apart[before, picture].mean()
    return first if rise > _OFF and not (inside[:before] > _CLEAN).any() else None


def blurred_bars(gray: Gray) -> tuple[int, int] | None:
    """Lines of a blurred bar at the top and at the bottom, alike to 2 %; None where there are none.

    Their detail (mean second difference along a line) is under 0.45 of the picture's, and an edge
    parts them from it.
    """
    height, width = gray.shape
    if height < 32 or width < 32:
        return None
    lines = gray[:, :: max(1, width // 480)].astype(np.int16)
    detail = np.abs(np.diff(lines, 2, axis=1)).mean(1)
    inner = float(np.median(detail[height * 2 // 5 : height * 3 // 5]))
    if inner < _DETAIL or max(detail[0], detail[-1]) > _SMOOTH * inner:
        return None
    step = np.abs(np.diff(lines, axis=0)).mean(1)
    found = [
        _edge(detail, step, inner),
        _edge(detail[::-1], step[::-1], inner),
    ]
    top, bottom = found
    if top is None or bottom is None or abs(top - bottom) > max(2, 0.02 * height):
        return None
    return top, bottom


def _edge(detail: NDArray[Any], step: NDArray[Any], inner: float) -> int | None:
    """The line at which the picture begins: there the detail rises, and the line before differs."""
    height = len(detail)
    sharp = detail > 0.5 * (inner + float(np.median(detail[: max(2, int(_THIN * height))])))
    after = int(np.argmax(sharp))
    low, high = max(1, after - 3), min(height - 1, after + 3)
    edge = low + int(np.argmax(step[low - 1 : high])) if high > low else after
    if not _THIN * height <= edge <= _THICK * height:
        return None
    around = step[max(0, edge - 12) : max(0, edge - 3)]
    clear = len(around) and step[edge - 1] > 3 * float(np.median(around)) + 1
    quiet = bool((detail[: max(1, edge - 3)] < _SMOOTH * inner).mean() > 0.95)
    return edge if clear and quiet else None
