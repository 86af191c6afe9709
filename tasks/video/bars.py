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
_SMOOTH = 0.7  # detail of a blurred bar, as a share of that of the picture
_DETAIL = 0.8  # gray levels; a picture with less is blurred itself
_STEP, _TIMES = 3.0, 5.0  # gray levels from a blurred bar to the picture, and by how often they
# are more than from line to line of the bar
_BREAK, _STRAIGHT = 6, 0.15  # gray levels, and the least share of the pixels of a line with more
_NEAR = 8  # lines before the edge where it disturbs a bar: a block of coding
_THIN, _THICK = 0.02, 0.44  # of a side: what a blurred bar may take
_DARK = 24  # of 255; a bar of no more in any colour is black


def maybe_bars(small: Gray) -> bool:
    """Whether a small picture may have bars: a uniform side, or two that are blurred."""
    sides = [np.rot90(small, turn) for turn in range(4)]
    if any((abs(side[0].astype(int) - np.median(side[0])) > _OFF).mean() < 0.3 for side in sides):
        return True
    return any(_edges(_apart(side), 0.6) is not None for side in sides[:2])


def find_bars(gray: Gray, small: NDArray[np.uint8]) -> Bars:
    """The bars of a frame by its luma, as displayed, in full size; `small` is the same in RGB."""
    # a turn to the left puts the right side on top
    top, right, bottom, left = (uniform_bar(np.rot90(gray, turn)) for turn in range(4))
    bars = Bars(left, top, right, bottom)
    # of blurred bars, one may be of one colour
    rows = (0, 0) if left or right or (top and bottom) else blurred_bars(gray)
    columns = (0, 0) if top or bottom or (left and right) else blurred_bars(np.rot90(gray))
    if rows and any(rows) and columns == (0, 0):
        return Bars(0, rows[0], 0, rows[1], "blurred")
    if columns and any(columns) and rows == (0, 0):
        return Bars(columns[1], 0, columns[0], 0, "blurred")
    widest = max(bars.sides, key=lambda side: side or 0)
    if widest:
        place = bars.sides.index(widest)  # left, top, right, bottom
        line = np.rot90(small, (3, 0, 1, 2)[place])[0]
        colour = np.median(line.reshape(-1, 3), 0)
        return Bars(left, top, right, bottom, "black" if colour.max() <= _DARK else "coloured")
    if rows is None:
        return Bars(left, None, right, None)
    return bars if columns else Bars(None, top, None, bottom)


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
    """Lines of a blurred bar at the top and at the bottom; 0, 0: there are none.

    Lines of a bar hardly differ from their neighbours, up to a straight edge where they do; their
    detail (mean second difference along a line) is under 0.7 of the picture's. None: it cannot be
    told, because there are such edges, but hardly any detail in the picture.
    """
    apart = _apart(gray)
    ends = _edges(apart)
    if ends is None:
        return 0, 0
    top, bottom = ends
    height = len(gray)
    straight = [(apart[end - 1] > _BREAK).mean() for end in (top, height - bottom)]
    lines = gray[:, :: _every(gray)].astype(np.int16)
    detail = np.abs(np.diff(lines, 2, axis=1)).mean(1)
    inner = float(detail[top : height - bottom].mean())
    bars = detail[: top - _NEAR], detail[::-1][: bottom - _NEAR]
    smooth = all(np.quantile(bar, 0.95) <= _SMOOTH * inner for bar in bars)
    return ends if smooth and inner >= _DETAIL and min(straight) >= _STRAIGHT else None


def _every(gray: Gray) -> int:
    """Of how many pixels of a line one is looked at."""
    return max(1, gray.shape[1] // 480)


def _apart(gray: Gray) -> NDArray[np.int16]:
    """How far the pixels of each line but the first are from those of the line before."""
    apart: NDArray[np.int16] = np.diff(gray[:, :: _every(gray)].astype(np.int16), axis=0)
    return np.abs(apart)


def _edges(apart: NDArray[np.int16], least: float = 1.0) -> tuple[int, int] | None:
    """Lines before the straight edges at the top and at the bottom, alike to 1 %, if both are
    there; `least`: how clear they must be, as a share of what bars need.
    """
    height, width = apart.shape[0] + 1, apart.shape[1]
    if height < 32 or width < 32:
        return None
    step = apart.mean(1)
    top, bottom = _edge(step, least), _edge(step[::-1], least)
    if top is None or bottom is None or abs(top - bottom) > max(2, 0.01 * height):
        return None
    return top, bottom


def _edge(step: NDArray[Any], least: float) -> int | None:
    """The line at which the picture begins, by how far each line is from the one before it."""
    height = len(step) + 1
    before = np.maximum.accumulate(step)[: -_NEAR - 1]  # near the edge, coding rings
    sudden = step[_NEAR + 1 :] > least * np.maximum(_STEP, _TIMES * before)
    if not sudden.any():
        return None
    first = int(np.argmax(sudden)) + _NEAR + 1
    near = step[first : first + _NEAR]
    edge = first + int(np.argmax(near > 0.5 * near.max())) + 1
    return edge if _THIN * height <= edge <= _THICK * height else None
