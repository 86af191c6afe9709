"""Finds the same cuts as `CutFinder`, but scores exactly only the frames whose score may matter.

PySceneDetect's score of a frame is a mean over the pixels of a small picture, which is made of the
whole frame in BGR. A `Screen` makes a thousand of these pixels alone, each as it is in the picture,
so the mean over them is an unbiased estimate: it errs only by which pixels are drawn. They are
drawn at random, one in each cell of a grid, so no pattern can hide between them. `margin` allows
for the worst of pictures.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from curate.tasks.video.geometry import plane
from curate.tasks.video.scenes import (
    BGR,
    Candidate,
    CutFinder,
    Detector,
    content_score,
    small_size,
)
from curate.tasks.video.tone_mapping import HDR

_PIXELS = 1024  # of the estimate
_ERRORS = 3  # standard errors that an estimate may be wrong by
_MOST = (179 + 255 + 255) / 3  # of a pixel's score
_FORMATS = ("yuv420p", "yuvj420p")  # which swscale turns to BGR pixel by pixel, at even heights
_MOST_BYTES = 16 << 20  # of a frame, of which six are held
_SAME = 0.5  # mean difference from the picture's own pixels: rounding
_WINDOW = 2  # frames before and after one whose scores AdaptiveDetector compares with its
_LEAST = 3.0  # a lower score may be that of pixels of which none is drawn
_Places = NDArray[np.intp]


class Mosaic:
    """Some pixels of the small picture of frames of one form, made without the others.

    A pixel is interpolated between 2 x 2 of the frame. These are copied into a tiny frame, each
    with its chroma, which takes the same steps as a whole one.
    """

    def __init__(self, first: Candidate) -> None:
        """For frames like this one. Raises ValueError where it does not make the pixels of their
        pictures, or there are too few.
        """
        frame = cast(VideoFrame, first.decoded)
        stored = frame.planes
        is_plain = frame.format.name in _FORMATS and frame.height % 2 == 0
        is_plain &= not frame.interlaced_frame and frame.color_trc not in HDR
        is_plain &= min(one.line_size for one in stored) > 0  # else stored upside down
        if not is_plain or sum(one.buffer_size for one in stored) > _MOST_BYTES:
            raise ValueError
        width, height = small_size(frame)
        ratio = height / width
        rows, columns = round((_PIXELS * ratio) ** 0.5), round((_PIXELS / ratio) ** 0.5)
        if height < rows or width < columns:
            raise ValueError
        rng = np.random.default_rng(0)
        y, top, down = _drawn(height, frame.height, (columns, rows), rng)
        self.y, top, down = y.T.copy(), top.T.copy(), down.T.copy()
        self.x, left, right = _drawn(width, frame.width, (rows, columns), rng)
        luma, chroma = (one.line_size for one in stored[:2])
        self._tiny = VideoFrame(4 * columns, 4 * rows, frame.format.name)
        self._tiny.colorspace, self._tiny.color_range = frame.colorspace, frame.color_range
        # a chroma is that of 2 x 2 pixels: of four neighbours, each is the innermost of its own
        self._copies: list[tuple[int, _Places, NDArray[np.uint8]]] = []  # plane, from, to
        for n, m in np.ndindex(2, 2):
            y, x = top + n, left + m
            self._copies.append((0, y * luma + x, plane(self._tiny, 0)[1 + n :: 4, 1 + m :: 4]))
            for number in (1, 2):
                place = plane(self._tiny, number)[n::2, m::2]
                self._copies.append((number, y // 2 * chroma + x // 2, place))
        self._across, self._along = cv2.convertMaps(
            (4 * np.arange(columns) + 1 + right).astype(np.float32),
            (4 * np.arange(rows)[:, None] + 1 + down).astype(np.float32),
            cv2.CV_16SC2,
        )
        self._scaler = VideoReformatter()
        expected = first.picture[self.y, self.x]
        if cv2.absdiff(expected, self.pixels(frame)).mean() > _SAME:
            raise ValueError

    def pixels(self, frame: VideoFrame) -> BGR:
        """The pixels of the picture at `y`, `x`."""
        planes = [np.frombuffer(cast(Any, stored), np.uint8) for stored in frame.planes]
        for number, table, place in self._copies:
            place[:] = planes[number].take(table)
        bgr = self._scaler.reformat(self._tiny, format="bgr24", threads=1).to_ndarray()
        pixels = cv2.remap(bgr, self._across, self._along, cv2.INTER_LINEAR)
        return pixels.astype(np.uint8, copy=False)


def _drawn(
    shown: int, stored: int, shape: tuple[int, int], rng: np.random.Generator
) -> tuple[_Places, _Places, NDArray[np.float64]]:
    """Places along a side of the picture: in each line of `shape` one at random from each part.

    Also between which two pixels of the frame OpenCV interpolates each: the first, and how far
    behind it.
    """
    borders = np.linspace(0, shown, shape[1] + 1)
    places = (borders[:-1] + rng.random(shape) * np.diff(borders)).astype(np.intp)
    exact = ((places + 0.5) * (stored / shown) - 0.5).clip(0, stored - 1)
    first = np.floor(exact).astype(np.intp).clip(0, stored - 2)
    return places, first, exact - first


def margin(score: float) -> float:
    """How far an estimate near this score may be from the exact one.

    That is three standard errors where each pixel changes for itself, and by all it can or not at
    all: 5.3 at 15. On footage, whose standard error is 0.1 to 0.6 there, it is ten of them.
    """
    return float(_ERRORS * (max(0.0, score * (_MOST - score)) / _PIXELS) ** 0.5)


@dataclass
class Scored:
    """A frame and what is known of its score."""

    frame: Candidate
    before: Candidate | None  # the frame before it
    low: float = 0.0
    high: float = _MOST
    is_exact: bool = False

    def exact(self) -> float:
        """The exact score; 0 of a first frame."""
        if not self.is_exact:
            before, frame = self.before, self.frame
            score = 0.0 if before is None else content_score(frame, before)
            self.low, self.high, self.is_exact = score, score, True
            if before is not None:
                before.decoded = frame.decoded = None  # their pictures are made
        return self.low


class Screen:
    """Tells how high the scores of frames can be."""

    def __init__(self) -> None:
        self._form: tuple[object, ...] = ()
        self._mosaic: Mosaic | None = None
        self._pixels: NDArray[np.uint8] | None = None
        self._before: Candidate | None = None

    def score(self, frame: Candidate) -> Scored:
        """What is known of the score of the next frame: bounds, or all where they would not hold.

        All is for formats other than 4:2:0 of 8 bits, odd heights, HDR, fields, tiny and very large
        frames.
        """
        decoded = cast(VideoFrame, frame.decoded)
        lines = tuple(stored.line_size for stored in decoded.planes)
        colours = decoded.colorspace, decoded.color_range, decoded.color_trc
        stored_as = decoded.width, decoded.height, decoded.format.name, lines
        form = *stored_as, *colours, decoded.interlaced_frame
        if form != self._form:
            self._form, self._mosaic, self._pixels = form, None, None
            with suppress(ValueError):
                self._mosaic = Mosaic(frame)
        before, self._before = self._before, frame
        scored = Scored(frame, before)
        last, self._pixels = self._pixels, None
        if self._mosaic is not None:
            hsv = cv2.cvtColor(self._mosaic.pixels(decoded), cv2.COLOR_BGR2HSV)
            self._pixels = hsv.astype(np.uint8, copy=False)
            if last is not None:
                estimate = cv2.norm(self._pixels, last, cv2.NORM_L1) / last.size
                error = margin(estimate)
                scored.low, scored.high = estimate - error, estimate + error
        if self._pixels is None or before is None:
            scored.exact()
        return scored


class ScreenedAdaptive(CutFinder):
    """The cuts of AdaptiveDetector, which is told only of the frames around those that may be one.

    It compares a frame's score with its level, and with the scores of two frames on both sides.
    """

    def __init__(
        self, detector: Detector, threshold: float | None, min_scene_len: int | float
    ) -> None:
        """As of `CutFinder`."""
        super().__init__(detector, threshold, min_scene_len)
        self._screen = Screen()
        self._ratio: float = self._detector.adaptive_threshold
        self._recent: deque[Scored] = deque(maxlen=2 * _WINDOW + 2)
        self._told = -1  # index of the last frame that the detector was told of

    def push(self, frame: Candidate) -> list[int]:
        """As `CutFinder.push`."""
        scored = self._screen.score(frame)
        recent = self._recent
        recent.append(scored)
        news: list[tuple[Candidate, float]] = []
        if len(recent) == 1:
            news = [(frame, 0.0)]
        elif len(recent) > 2 * _WINDOW:
            lows = [max(0.0, recent[n].low) for n in (-5, -4, -2, -1)]
            least = max(self._level, self._ratio * sum(lows) / len(lows))
            if recent[-1 - _WINDOW].high >= least:  # this frame may begin a scene
                before, *window = recent
                # the one before may lie in a gap: no comparison with NaN is true
                news = [(before.frame, float("nan")), *((one.frame, one.exact()) for one in window)]
        cuts: list[int] = []
        for one, score in news:
            if one.index > self._told:
                self._told = one.index
                cuts += self._judge(one, score)
        self.suspect = scored.high >= self._level
        return cuts


class ScreenedContent(CutFinder):
    """The cuts of ContentDetector, which is told only of frames that may reach its level, and of
    those that follow for as long as a scene must last: it waits for them to merge cuts.
    """

    def __init__(
        self, detector: Detector, threshold: float | None, min_scene_len: int | float
    ) -> None:
        """As of `CutFinder`."""
        super().__init__(detector, threshold, min_scene_len)
        self._screen = Screen()
        self._length = min_scene_len
        self._waits_until = 0.0  # seconds

    def push(self, frame: Candidate) -> list[int]:
        """As `CutFinder.push`."""
        if self._level < _LEAST:
            return super().push(frame)
        scored = self._screen.score(frame)
        self.suspect = False
        seconds = frame.seconds
        if scored.high >= self._level:
            length = self._length
            rate = float(frame.rate.fps)
            self._waits_until = seconds + (
                length if isinstance(length, float) else (length + 1) / rate
            )
            return self._judge(frame, scored.exact())
        if scored.before is not None and scored.before.seconds > self._waits_until:
            return []
        return self._judge(frame, 0.0)


# by detector: what finds the same cuts as its `CutFinder`, at less cost
SCREENED: dict[Detector, type[ScreenedAdaptive | ScreenedContent]] = {
    "adaptive": ScreenedAdaptive,
    "content": ScreenedContent,
    "panda": ScreenedContent,
}
