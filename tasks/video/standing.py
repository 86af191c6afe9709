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
_LIKELY = 2.5  # the same beside one that is sure
_FAINT = 0.5  # gray levels a pixel; a fainter slope is none
_WINDOW = 11  # pixels
_AREA = 0.0008  # share of the picture; less is no overlay
_GAPS = (9, 31)  # pixels, down and across, between parts of a mark
_ROUND = 0.2  # least share of the slopes across or along; lines that a pan follows have one only
_HELD = 8.0  # gray levels a pixel; of steeper slopes no more counts where pictures are compared
# by how often more alike than pictures far apart neighbours may be: around the middle of a zoom, or
# before a camera that hardly moves, they are
_NEAR = 1.45
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
    small beside its spread. Pixels count where that is sure, in windows of 11 pixels, and where
    pictures far apart agree as well as neighbours do.
    """
    if len(pictures) < FEWEST or min(pictures[0].shape[:2]) < 32:
        return None
    grays = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in pictures]
    score = np.zeros(grays[0].shape, np.float32)
    usual, alike, middles = score.copy(), np.zeros((2, *score.shape), np.float32), []
    for dx, dy in ((1, 0), (0, 1)):
        slopes = np.stack([cv2.Sobel(g, cv2.CV_32F, dx, dy, scale=1 / 8) for g in grays])
        middle = np.median(slopes, 0)
        spread = np.abs(slopes - middle).mean(0) * 1.2533 + 0.7
        score += (middle / (1.25 * spread)) ** 2 * len(grays)
        usual += (slopes**2).mean(0)
        alike += _alike(slopes)
        middles.append(middle)
    strength = middles[0] ** 2 + middles[1] ** 2
    block = (16, 16)
    stands = cv2.blur(strength, block) > 0.5 * cv2.blur(usual, block)
    busy = cv2.blur(usual, block) > 1.0
    if not busy.any() or float((stands & busy).sum()) > _STANDS * float(busy.sum()):
        return None
    window = (_WINDOW, _WINDOW)
    z = np.sqrt(np.maximum(cv2.blur(score, window), 0))
    z /= max(1.0, 0.8 * float(np.sqrt(np.median(score))))
    clear = (np.sqrt(cv2.blur(strength, window)) > _FAINT) & _alive(np.stack(grays))
    kept = _marks(clear & (z > _SURE), middles, alike)
    return _told(kept, kept | (clear & (z > _LIKELY)))


def _alike(slopes: NDArray[Any]) -> NDArray[np.float32]:
    """The mean product of the slopes of two pictures, 2 x H x W: of neighbours, and of those that
    are at least half of all pictures apart.
    """
    held = np.clip(slopes, -_HELD, _HELD)
    count = len(held)
    half = (count + 1) // 2
    until = held[: count - half].cumsum(0)
    far = (until * held[half:]).sum(0) / ((count - half) * (count - half + 1) / 2)
    return np.stack([(held[1:] * held[:-1]).mean(0), far])


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


def _marks(
    mask: NDArray[np.bool_], middles: Sequence[NDArray[Any]], alike: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """The groups of sure pixels that are marks, their gaps closed."""
    closed = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
    _, labels, groups, _ = cv2.connectedComponentsWithStats(closed)
    kept = np.zeros(mask.shape, bool)
    for number, group in enumerate(groups[1:], 1):
        if group[cv2.CC_STAT_AREA] < _AREA * mask.size:
            continue
        inside = labels == number
        near, far = (float(pairs[inside].mean()) for pairs in alike)
        across, along = (float((middle[inside] ** 2).sum()) for middle in middles)
        if near <= _NEAR * far and min(across, along) >= _ROUND * max(across, along):
            kept |= inside
    return kept


def _told(kept: NDArray[np.bool_], likely: NDArray[np.bool_]) -> Standing:
    """The share of the marks, and the box of the largest, with what likely belongs to it."""
    if not kept.any():
        return Standing(0.0, 0.0, 0.0, 0.0, 0.0)
    height, width = kept.shape
    closed = cv2.morphologyEx(likely.astype(np.uint8), cv2.MORPH_CLOSE, np.ones(_GAPS, np.uint8))
    _, labels, groups, _ = cv2.connectedComponentsWithStats(closed)
    x, y, wide, high, _ = (int(n) for n in groups[np.bincount(labels[kept]).argmax()])
    # a window of which a part is on the mark counts
    less, lower = (min(_WINDOW // 4 + 1, (side - 1) // 2) for side in (wide, high))
    box = x + less, y + lower, wide - 2 * less, high - 2 * lower
    shares = (n / side for n, side in zip(box, (width, height) * 2, strict=True))
    return Standing(float(kept.mean()), *shares)
