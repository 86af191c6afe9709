"""Finds the same cuts as `CutFinder`, but scores exactly only the frames whose score may matter.

PySceneDetect's score of a frame is a mean over the pixels of a small picture, which is made of the
whole frame in BGR. A `Screen` makes a thousand of these pixels alone, each as it is in the picture,
so the mean over them is an unbiased estimate: it errs only by which pixels are drawn. They are
drawn at random, one in each cell of a grid, so no pattern can hide between them. `margin` allows
for the worst of pictures.
"""

from __future__ import annotations

from collections import deque
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
from curate.tasks.video.tone_mapping import is_hdr

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

    def __init__(self, frame: VideoFrame) -> None:
        """Raises ValueError where the picture has too few pixels."""
        width, height = small_size(frame)
        ratio = height / width
        rows, columns = round((_PIXELS * ratio) ** 0.5), round((_PIXELS / ratio) ** 0.5)
        if height < rows or width < columns:
            raise ValueError
        rng = np.random.default_rng(0)
        self.y = np.stack([_draw(height, rows, rng) for _ in range(columns)], axis=1)
        self.x = np.stack([_draw(width, columns, rng) for _ in range(rows)], axis=0)
        (top, down), (left, right) = (
            _neighbours(*axis)
            for axis in ((self.y, frame.height, height), (self.x, frame.width, width))
        )
        luma, chroma = (stored.line_size for stored in frame.planes[:2])
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

    def hsv(self, frame: VideoFrame) -> NDArray[np.uint8]:
        """The pixels in OpenCV's HSV."""
        return cv2.cvtColor(self.pixels(frame), cv2.COLOR_BGR2HSV).astype(np.uint8, copy=False)

    def pixels(self, frame: VideoFrame) -> BGR:
        """The pixels of the picture at `y`, `x`."""
        planes = [np.frombuffer(cast(Any, stored), np.uint8) for stored in frame.planes]
        for number, table, place in self._copies:
            place[:] = planes[number].take(table)
        bgr = self._scaler.reformat(self._tiny, format="bgr24", threads=1).to_ndarray()
        pixels = cv2.remap(bgr, self._across, self._along, cv2.INTER_LINEAR)
        return pixels.astype(np.uint8, copy=False)


def _draw(side: int, count: int, rng: np.random.Generator) -> _Places:
    """So many places along a side of the picture, one at random from each part of it."""
    borders = np.linspace(0, side, count + 1)
    return np.asarray(borders[:-1] + rng.random(count) * np.diff(borders)).astype(np.intp)


def _neighbours(places: _Places, stored: int, shown: int) -> tuple[_Places, NDArray[np.float64]]:
    """Between which pixels of a frame OpenCV interpolates those of the picture: the first of two
    along a side, and how far behind it.
    """
    exact = ((places + 0.5) * (stored / shown) - 0.5).clip(0, stored - 1)
    first = np.floor(exact).astype(np.intp).clip(0, stored - 2)
    return first, exact - first


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
        form = _form(decoded)
        if form != self._form:
            self._form, self._mosaic, self._pixels = form, _fitting(frame), None
        before, self._before = self._before, frame
        scored = Scored(frame, before)
        last, self._pixels = self._pixels, None
        if self._mosaic is not None:
            self._pixels = self._mosaic.hsv(decoded)
            if last is not None:
                estimate = cv2.norm(self._pixels, last, cv2.NORM_L1) / last.size
                scored.low, scored.high = estimate - margin(estimate), estimate + margin(estimate)
        if self._pixels is None or before is None:
            scored.exact()
        return scored


def _form(frame: VideoFrame) -> tuple[object, ...]:
    lines = tuple(stored.line_size for stored in frame.planes)
    colours = frame.colorspace, frame.color_range, frame.color_trc
    return frame.width, frame.height, frame.format.name, lines, colours, frame.interlaced_frame


def _fitting(frame: Candidate) -> Mosaic | None:
    """A mosaic for frames like this one, if it makes the pixels of its picture."""
    decoded = cast(VideoFrame, frame.decoded)
    is_plain = decoded.format.name in _FORMATS and decoded.height % 2 == 0
    if not is_plain or decoded.interlaced_frame or is_hdr(decoded):
        return None
    planes = decoded.planes
    if sum(stored.buffer_size for stored in planes) > _MOST_BYTES:
        return None
    if min(stored.line_size for stored in planes) <= 0:  # stored upside down
        return None
    try:
        mosaic = Mosaic(decoded)
    except ValueError:
        return None
    expected = frame.picture[mosaic.y, mosaic.x]
    return mosaic if cv2.absdiff(expected, mosaic.pixels(decoded)).mean() <= _SAME else None


class ScreenedAdaptive(CutFinder):
    """The cuts of AdaptiveDetector, which is told only of the frames around those that may be one.

    It compares a frame's score with its level, and with the scores of two frames on both sides.
    """

    def __init__(self, threshold: float | None, min_scene_len: int | float) -> None:
        """As of `CutFinder`."""
        super().__init__("adaptive", threshold, min_scene_len)
        self._screen = Screen()
        self._ratio: float = self._detector.adaptive_threshold
        self._recent: deque[Scored] = deque(maxlen=2 * _WINDOW + 2)
        self._told = -1  # index of the last frame that the detector was told of

    def push(self, frame: Candidate) -> list[int]:
        """As `CutFinder.push`."""
        scored = self._screen.score(frame)
        self._recent.append(scored)
        cuts: list[int] = []
        if len(self._recent) == 1:
            cuts += self._tell(frame, 0.0)
        elif self._may_be_cut():
            before, *window = list(self._recent)[-2 * _WINDOW - 2 :]
            if before.frame.index > self._told:
                # it lies in a gap: no comparison with NaN is true
                cuts += self._tell(before.frame, float("nan"))
            for one in window:
                if one.frame.index > self._told:
                    cuts += self._tell(one.frame, one.exact())
        self.suspect = scored.high >= self._level
        return cuts

    def _may_be_cut(self) -> bool:
        """Whether the frame in the middle of the last five may begin a scene."""
        if len(self._recent) <= 2 * _WINDOW:
            return False
        high = self._recent[-1 - _WINDOW].high
        if high < self._level:
            return False
        around = [self._recent[n].low for n in (-5, -4, -2, -1)]
        return high >= self._ratio * sum(max(0.0, low) for low in around) / len(around)

    def _tell(self, frame: Candidate, score: float) -> list[int]:
        self._told = frame.index
        return self._judge(frame, score)


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


def screened(detector: Detector, threshold: float | None, min_scene_len: int | float) -> CutFinder:
    """The finder of the same cuts as a `CutFinder` of these arguments, at less cost."""
    if detector == "adaptive":
        return ScreenedAdaptive(threshold, min_scene_len)
    if threshold is not None and threshold < _LEAST:
        return CutFinder(detector, threshold, min_scene_len)
    return ScreenedContent(detector, threshold, min_scene_len)
