"""What stands still on pictures that move: logos, watermarks, bands of subtitles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from curate.tasks.video.geometry import RGB

FEWEST = 5  # pictures
_STANDS = 0.25  # share of blocks that stand, from which the picture does
_SURE = 3.0  # least z of a slope that stands, in the mean over a window
_FAINT = 0.5  # gray levels a pixel; a fainter slope is none
_WINDOW = 11  # pixels
_AREA = 0.0008  # share of the picture; less is no overlay
_CENTRE = 0.1  # a group not larger, and so near to the middle, may be where a zoom stands still
_ROUND = 0.1  # least share of the slopes across or along; lines that a pan follows have one only
_DEAD = 3.0  # gray levels that lines along a side change by, in the mean, where they are a bar


class Standing(NamedTuple):
    """What stands still: shares of the picture, and the box of its largest group."""

    share: float
    x: float
    y: float
    width: float
    height: float


def standing(pictures: Sequence[RGB]) -> Standing | None:
    """What stands still on pictures of one place, each H x W x 3; None where it cannot be told.

    That is when there are fewer than 5 pictures, or most of the picture stands still. The median of
    the slopes of the luma over time is that of what stands (Dekel et al. 2017): of all else it is
    small beside its spread. Pixels count where that is sure, in windows of 11 pixels.
    """
    if len(pictures) < FEWEST or min(pictures[0].shape[:2]) < 32:
        return None
    grays = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in pictures]
    score = np.zeros(grays[0].shape, np.float32)
    usual, middles = score.copy(), []
    for dx, dy in ((1, 0), (0, 1)):
        slopes = np.stack([cv2.Sobel(g, cv2.CV_32F, dx, dy, scale=1 / 8) for g in grays])
        middle = np.median(slopes, 0)
        spread = np.abs(slopes - middle).mean(0) * 1.2533 + 0.7
        score += (middle / (1.25 * spread)) ** 2 * len(grays)
        usual += (slopes**2).mean(0)
        middles.append(middle)
    strength = middles[0] ** 2 + middles[1] ** 2
    block = (16, 16)
    stands = cv2.blur(strength, block) > 0.5 * cv2.blur(usual, block)
    busy = cv2.blur(usual, block) > 1.0
    if not busy.any() or float((stands & busy).sum()) > _STANDS * float(busy.sum()):
        return None
    window = (_WINDOW, _WINDOW)
    sure = np.sqrt(cv2.blur(score, window)) > max(_SURE, 2.4 * float(np.sqrt(np.median(score))))
    clear = np.sqrt(cv2.blur(strength, window)) > _FAINT
    return _groups((sure & clear & _alive(np.stack(grays))).astype(np.uint8), middles)


def _alive(grays: NDArray[Any]) -> NDArray[np.bool_]:
    """The picture without bars along its sides, and without their edges."""
    change = grays.max(0).astype(np.float32) - grays.min(0)
    spans = []
    for axis in (0, 1):
        places = np.flatnonzero(change.mean(1 - axis) > _DEAD)
        first, after = (places[0], places[-1] + 1) if len(places) else (0, 0)
        side = change.shape[axis]
        last = after if after == side else max(0, after - _WINDOW)
        spans.append(slice(first and first + _WINDOW, last))
    alive = np.zeros(change.shape, bool)
    alive[spans[0], spans[1]] = True
    return alive


def _groups(mask: NDArray[np.uint8], slopes: Sequence[NDArray[Any]]) -> Standing:
    """The share of all groups of pixels, and the box of the largest."""
    height, width = mask.shape
    closed = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
    _, labels, groups, _ = cv2.connectedComponentsWithStats(closed)
    kept = []
    for number, group in enumerate(groups[1:], 1):
        if group[cv2.CC_STAT_AREA] < _AREA * mask.size or _is_pole(group, width, height):
            continue
        across, along = (float((slope[labels == number] ** 2).sum()) for slope in slopes)
        if min(across, along) >= _ROUND * max(across, along):
            kept.append(group)
    if not kept:
        return Standing(0.0, 0.0, 0.0, 0.0, 0.0)
    x, y, wide, high, _ = max(kept, key=lambda group: int(group[cv2.CC_STAT_AREA]))
    share = sum(int(group[cv2.CC_STAT_AREA]) for group in kept) / mask.size
    return Standing(share, x / width, y / height, wide / width, high / height)


def _is_pole(group: NDArray[np.int32], width: int, height: int) -> bool:
    """Whether a group may be the point that a zoom or a roll goes around."""
    x, y, wide, high, _ = group
    middle = abs((x + wide / 2) / width - 0.5), abs((y + high / 2) / height - 0.5)
    small = wide < 2 * _CENTRE * width and high < 3 * _CENTRE * height
    return bool(small and max(middle) < _CENTRE)
