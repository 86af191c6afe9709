"""Mends false cuts: those that a flash makes, a picture that drops out, or fast motion.

A cut is false when its *edges* agree: the last frame before it, and the first after it or one that
follows a flash. They are compared by

- hash: bits of 64 that differ, of whether each cell of a grid is brighter than the one beside it;
- colour: mean difference of the cells, 0 to 255;
- flow: how the whole picture has moved. Where it is moved back, details (what a blur takes away)
  correlate. Unlike optical flow, that finds motion by most of the picture's width.

`benchmarks/stitch.py` measures the thresholds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from curate.tasks.video.scenes import BGR, Candidate, CutFinder

WINDOW = 0.4  # seconds before and after a cut: a flash is no longer
MOST_FRAMES = 24  # of a window
SAME_HASH = 10  # bits of 64, at most
SAME_COLOUR = 24.0  # of 255, at most
SAME_DETAILS = 0.6  # correlation of the details, at least
LEAST_OVERLAP = 0.25  # share of the picture that both frames show
FLAT = 8.0  # deviation of the luma, of 255, below which a frame shows nothing
DARK = 24  # luma of a black bar, of 255, at most
WHITE, MOSTLY = 235, 0.5  # a flash leaves half of the picture no darker than this

_SIDE = 96  # pixels of the longer side of the pictures compared
_GRID = 8  # cells of a side
_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Edge:
    """A frame near a cut."""

    index: int
    seconds: float
    picture: BGR

    @cached_property
    def luma(self) -> NDArray[np.float32]:
        """0 to 255."""
        return cv2.cvtColor(self.picture, cv2.COLOR_BGR2GRAY).astype(np.float32)

    @cached_property
    def cells(self) -> NDArray[np.float32]:
        """Mean colours of a grid, with a column more than rows."""
        size = (_GRID + 1, _GRID)
        return cv2.resize(self.picture, size, interpolation=cv2.INTER_AREA).astype(np.float32)

    @cached_property
    def hash(self) -> NDArray[np.bool_]:
        """Which cells are brighter than the one to their right."""
        luma = self.cells.mean(axis=2)
        brighter: NDArray[np.bool_] = luma[:, :-1] > luma[:, 1:]
        return brighter

    @cached_property
    def details(self) -> _Floats:
        """The luma without what a blur leaves of it."""
        return (self.luma - cv2.GaussianBlur(self.luma, (0, 0), _SIDE / 24)).astype(np.float64)

    @cached_property
    def blank(self) -> bool:
        """Whether it is flat or mostly white."""
        return bool(self.luma.std() < FLAT or (self.luma >= WHITE).mean() >= MOSTLY)


def agree(before: Edge, after: Edge) -> bool:
    """Whether two frames show the same scene, seen from the same place or a little to its side."""
    if before.blank or after.blank:
        return False
    colour = float(np.abs(before.cells - after.cells).mean())
    if colour <= SAME_COLOUR and np.count_nonzero(before.hash != after.hash) <= SAME_HASH:
        return True
    details, (dy, dx) = moved(before.details, after.details)
    if details < SAME_DETAILS:
        return False
    height, width = before.luma.shape
    one = before.picture[max(0, dy) : height + min(0, dy), max(0, dx) : width + min(0, dx)]
    other = after.picture[max(0, -dy) : height - max(0, dy), max(0, -dx) : width - max(0, dx)]
    means = [part.reshape(-1, 3).mean(axis=0) for part in (one, other)]
    return float(np.abs(means[0] - means[1]).mean()) <= SAME_COLOUR


def moved(before: _Floats, after: _Floats) -> tuple[float, tuple[int, int]]:
    """The highest correlation, -1 to 1, of two pictures (H x W) over where one is moved, and that
    move.

    At (dy, dx) the pixel (y, x) of `after` lies on (y + dy, x + dx) of `before`. The two share
    LEAST_OVERLAP of their area at least. The sums over all moves are convolutions.
    """
    height, width = before.shape
    shape = cv2.getOptimalDFTSize(2 * height - 1), cv2.getOptimalDFTSize(2 * width - 1)

    def spectrum(values: _Floats) -> NDArray[np.complex128]:
        return np.fft.rfft2(values, shape)

    ones = np.ones_like(before)
    mask = spectrum(ones)
    turned = [spectrum(np.ascontiguousarray(v[::-1, ::-1])) for v in (after, after**2, ones)]

    def over_moves(left: NDArray[np.complex128], right: NDArray[np.complex128]) -> _Floats:
        return np.fft.irfft2(left * right, shape)[: 2 * height - 1, : 2 * width - 1]

    own = spectrum(before)
    count = np.maximum(np.round(over_moves(mask, turned[2])), 1)
    sum_before, sum_after = over_moves(own, turned[2]), over_moves(mask, turned[0])
    product = over_moves(own, turned[0]) - sum_before * sum_after / count
    spread = (over_moves(spectrum(before**2), turned[2]) - sum_before**2 / count) * (
        over_moves(mask, turned[1]) - sum_after**2 / count
    )
    # a part without details correlates with anything
    enough = (count >= LEAST_OVERLAP * before.size) & (spread > count**2)
    correlation = np.where(enough, product / np.sqrt(np.maximum(spread, 1e-9)), -1.0)
    y, x = np.unravel_index(int(correlation.argmax()), correlation.shape)
    return float(correlation[y, x]), (int(y) - height + 1, int(x) - width + 1)


def washed(frame: Edge, edge: Edge) -> bool:
    """Whether a frame is one of a flash or drop-out of what `edge` shows: blank, or the same place
    in other light.
    """
    return frame.blank or moved(edge.details, frame.details)[0] >= SAME_DETAILS


def without_bars(frames: Sequence[Edge]) -> Sequence[Edge]:
    """The frames without the black bars that all of them have, whose edges would correlate."""
    lightest = np.max([frame.luma for frame in frames], axis=0)
    kept = []
    for axis in (1, 0):
        light = np.flatnonzero(lightest.max(axis=axis) > DARK)
        first, last = (int(light[0]), int(light[-1])) if light.size else (0, 0)
        # the lines beside a bar are mixed with it
        first += 2 * (first > 0)
        last -= 2 * (last < lightest.shape[1 - axis] - 1)
        kept.append(slice(first, last + 1))
    if any(part.stop - part.start < _GRID + 1 for part in kept):
        return frames
    rows, columns = kept
    return [replace(frame, picture=frame.picture[rows, columns]) for frame in frames]


def is_false(cut: int, frames: Sequence[Edge], cuts: Sequence[int] = ()) -> bool:
    """Whether the cut before the frame with index `cut` is none. `frames` surround it, in order.

    A frame before it, or before one of the `cuts` that preceded it, agrees with one after it; what
    lies between the two is a flash.
    """
    frames = without_bars(frames)
    edges = [b for b in frames if b.index + 1 in (cut, *cuts) and b.index < cut]
    for edge in edges:
        between = [frame for frame in frames if edge.index < frame.index < cut]
        for frame in (frame for frame in frames if frame.index >= cut):
            if agree(edge, frame):
                return all(washed(one, edge) for one in between)
            between.append(frame)
    return False


class Stitcher(CutFinder):
    """The cuts of another finder that are none by `is_false` are left out; the others come later,
    WINDOW after the cut.

    A finder is blind for `min_scene_len` frames after a cut. Behind a false one, the frames that
    look like a cut to it are judged too, so that none hides the true one that follows.
    """

    def __init__(self, finder: CutFinder, min_scene_len: int) -> None:
        self._finder = finder
        self._blind = min_scene_len
        self._until = 0  # frames that look like a cut are judged up to this one
        self._looks: deque[int] = deque(maxlen=MOST_FRAMES)  # frames that look like a cut
        self._frames: deque[Edge] = deque(maxlen=3 * MOST_FRAMES)
        self._open: list[int] = []  # cuts to be judged, in order
        self._earlier: deque[int] = deque(maxlen=MOST_FRAMES)  # cuts, right ones and false ones

    def push(self, frame: Candidate) -> list[int]:
        """As `CutFinder.push`, later."""
        picture, index, seconds = frame.picture, frame.index, frame.seconds
        longer = max(picture.shape[:2])
        height, width = (max(_GRID, round(side * _SIDE / longer)) for side in picture.shape[:2])
        small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
        self._frames.append(Edge(index, seconds, small.astype(np.uint8, copy=False)))
        cuts = self._finder.push(frame)
        self.suspect = self._finder.suspect
        if self.suspect:
            self._looks.append(index)
        if self.suspect and index < self._until:
            cuts.append(index)
        self._open = sorted({*self._open, *cuts})
        return self._judge_open(index, seconds) if self._open else []

    def flush(self) -> list[int]:
        """The cuts that are yet to come, when there are no more frames."""
        return self._judge_open(None, 0.0)

    def _judge_open(self, index: int | None, seconds: float) -> list[int]:
        """The right ones among the open cuts whose window ends with a frame; None: all windows
        end.
        """
        right = []
        while self._open:
            cut = self._open[0]
            after = [frame for frame in self._frames if frame.index >= cut]
            first = after[0].seconds
            if index is not None and seconds - first < WINDOW and len(after) < MOST_FRAMES:
                break
            near = [frame for frame in self._frames if abs(frame.seconds - first) <= WINDOW]
            blind_until = cut + self._blind
            if is_false(cut, near, self._earlier):
                self._until = blind_until
                hidden = [look for look in self._looks if cut < look < blind_until]
                self._open = sorted({*self._open[1:], *hidden})
            else:
                self._until = 0
                right.append(cut)
                self._open = [one for one in self._open if one >= blind_until]
            self._earlier.append(cut)
        return right
