"""Finds the same cuts as `CutFinder`, but scores exactly only the frames whose score may matter.

PySceneDetect's score of a frame is a mean over the pixels of a small picture, which is made of the
whole frame in BGR. A `Screen` makes some of these pixels alone, each as it is in the picture, so
the mean over them is an unbiased estimate: it errs only by which pixels are drawn. They are drawn
at random, one in each cell of a grid, so no pattern can hide between them. `bounds` allows for the
worst of pictures. Few pixels are drawn of each frame, more of one that these leave in doubt.
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

PIXELS = (320, 1024)  # of the estimates: of each frame, and of one in doubt
_ERRORS = 3  # standard errors that an estimate may be wrong by
_MOST = (179 + 255 + 255) / 3  # of a pixel's score
_FORMATS = ("yuv420p", "yuvj420p")  # which swscale turns to BGR pixel by pixel, at even heights
_MOST_BYTES = 16 << 20  # of a frame, of which six may be held
_SAME = 0.5  # mean difference from the picture's own pixels: rounding
_WINDOW = 2  # frames before and after one whose scores AdaptiveDetector compares with its
_LEAST = 3.0  # of a level; lower scores may be those of pixels of which none is drawn
_Places = NDArray[np.intp]
_Pixels = NDArray[np.uint8]


class Mosaic:
    """Some pixels of the small picture of frames of one form, made without the others.

    A pixel is interpolated between 2 x 2 of the frame. These are copied into a tiny frame, each
    with its chroma, which takes the same steps as a whole one.
    """

    def __init__(self, first: Candidate, pixels: int) -> None:
        """For frames like this one, of about so many pixels. Raises ValueError where it does not
        make the pixels of their pictures, or there are too few.
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
        rows, columns = round((pixels * ratio) ** 0.5), round((pixels / ratio) ** 0.5)
        if height < rows or width < columns:
            raise ValueError
        rng = np.random.default_rng(0)
        drawn = _drawn(height, frame.height, (columns, rows), rng)
        self.y, top, down = (one.T.ravel() for one in drawn)
        drawn = _drawn(width, frame.width, (rows, columns), rng)
        self.x, left, right = (one.ravel() for one in drawn)
        # the 2 x 2 of each pixel are the innermost of 4 x 4 in a row of these, so that each of them
        # has a chroma of its own
        count = rows * columns
        self._tiny = VideoFrame(4 * count, 4, frame.format.name)
        self._tiny.colorspace, self._tiny.color_range = frame.colorspace, frame.color_range
        luma, *self._chroma = (plane(self._tiny, number) for number in range(3))
        self._inner = [luma[y, x::4] for y in (1, 2) for x in (1, 2)]
        lines, places = (first + np.arange(2)[:, None] for first in (top, left))
        self._places = (lines[:, None] * stored[0].line_size + places).reshape(4, count)
        chroma_places = lines[..., None] // 2 * stored[1].line_size + places.T // 2
        self._chroma_places = chroma_places.reshape(2, 2 * count)
        self._across, self._along = cv2.convertMaps(
            (4 * np.arange(count) + 1 + right)[None].astype(np.float32),
            (1 + down)[None].astype(np.float32),
            cv2.CV_16SC2,
        )
        self._scaler = VideoReformatter()
        expected = first.picture[self.y, self.x]
        if cv2.absdiff(expected, self.pixels(frame)[0]).mean() > _SAME:
            raise ValueError

    def pixels(self, frame: VideoFrame) -> BGR:
        """The pixels of the picture at `y`, `x`: 1 x pixels x 3."""
        luma, *chroma = cast(Any, frame.planes)
        found = np.frombuffer(luma, np.uint8).take(self._places)
        for cells, values in zip(self._inner, found, strict=True):
            cells[:] = values
        for stored, cells in zip(chroma, self._chroma, strict=True):
            cells[:] = np.frombuffer(stored, np.uint8).take(self._chroma_places)
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


def bounds(estimate: float, pixels: int) -> tuple[float, float]:
    """Between which scores the exact one lies, by the estimate of so many pixels.

    From a score at either end, the estimate is three standard errors away where each pixel changes
    by all it can or not at all (E. B. Wilson's interval, 1927). The upper end is 15 at an estimate
    of 5.5 by 320 pixels and of 9.7 by 1024. On footage the standard error of 1024 is 0.1 to 0.6.
    """
    share, squared = estimate / _MOST, _ERRORS**2 / pixels
    middle = share + squared / 2
    off = (squared * (max(0.0, share * (1 - share)) + squared / 4)) ** 0.5
    return _MOST * (middle - off) / (1 + squared), _MOST * (middle + off) / (1 + squared)


class Sketch:
    """A frame, and its pixels by some mosaics, in HSV: none where no mosaic makes them."""

    def __init__(self, frame: Candidate, mosaics: tuple[Mosaic, ...]) -> None:
        self.frame = frame
        self.mosaics = mosaics
        self._pixels: dict[int, _Pixels] = {}

    def pixels(self, number: int) -> _Pixels | None:
        """Those of a mosaic by its number; None where the frame was let go before that."""
        found, decoded = self._pixels.get(number), self.frame.decoded
        if found is None and decoded is not None:
            hsv = cv2.cvtColor(self.mosaics[number].pixels(decoded), cv2.COLOR_BGR2HSV)
            found = self._pixels[number] = hsv.astype(np.uint8, copy=False)
        return found


@dataclass
class Scored:
    """A frame and what is known of its score: bounds, and by what they are known."""

    sketch: Sketch
    before: Sketch | None  # of the frame before it; none of a first frame, whose score is 0
    low: float = 0.0
    high: float = _MOST
    is_exact: bool = False
    estimated: float = 0.0  # by the mosaic `number`, if that is not -1
    number: int = -1

    def estimate(self, number: int) -> None:
        """Learn its bounds by the mosaic `number`, or exactly where none makes its pixels."""
        before, sketch = self.before, self.sketch
        if before is None or self.is_exact or number <= self.number:
            return
        now = last = None
        if before.mosaics is sketch.mosaics and sketch.mosaics:
            now, last = sketch.pixels(number), before.pixels(number)
        if now is None or last is None:
            self.exact()
            return
        self.number, self.estimated = number, cv2.norm(now, last, cv2.NORM_L1) / now.size
        self.low, self.high = bounds(self.estimated, now.size // 3)

    def exact(self) -> float:
        """The exact score."""
        before, sketch = self.before, self.sketch
        if before is not None and not self.is_exact:
            score = content_score(sketch.frame, before.frame)
            self.low, self.high, self.is_exact = score, score, True
            if not sketch.mosaics:  # else the next estimate needs them
                before.frame.decoded = sketch.frame.decoded = None  # their pictures are made
        return self.low


class Screen:
    """Tells how high the scores of frames can be."""

    def __init__(self, level: float) -> None:
        """`level`: a score that may matter."""
        self._level = level
        # a lower estimate by the first mosaic leaves no doubt
        share = max(0.0, level * (_MOST - level))
        self._clear = level - _ERRORS * (share / PIXELS[0]) ** 0.5
        self._number = 0  # of the mosaic for the next frame: as for the one before
        self._form: tuple[object, ...] = ()
        self._mosaics: tuple[Mosaic, ...] = ()
        self._before: Sketch | None = None

    def score(self, frame: Candidate) -> Scored:
        """What estimates tell of the score of the next frame; it is exact where none holds.

        None does for formats other than 4:2:0 of 8 bits, odd heights, HDR, fields, tiny and very
        large frames.
        """
        decoded = cast(VideoFrame, frame.decoded)
        lines = [stored.line_size for stored in decoded.planes]
        colours = decoded.colorspace, decoded.color_range, decoded.color_trc
        stored_as = decoded.width, decoded.height, decoded.format.name, lines
        form = *stored_as, *colours, decoded.interlaced_frame
        if form != self._form:
            self._form, self._mosaics = form, ()
            with suppress(ValueError):
                self._mosaics = tuple(Mosaic(frame, pixels) for pixels in PIXELS)
        sketch = Sketch(frame, self._mosaics)
        scored = Scored(sketch, self._before)
        if self._before is None:
            scored.high, scored.is_exact = 0.0, True
        self._before = sketch
        scored.estimate(self._number)
        if scored.high >= self._level:
            scored.estimate(1)
        self._number = int(scored.estimated >= self._clear)
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
        self._screen = Screen(self._level)
        self._ratio: float = self._detector.adaptive_threshold
        self._recent: deque[Scored] = deque(maxlen=2 * _WINDOW + 1)

    def push(self, frame: Candidate) -> list[int]:
        """As `CutFinder.push`."""
        scored = self._screen.score(frame)
        recent = self._recent
        if not recent:
            self._judge(frame, 0.0)
        recent.append(scored)
        cuts: list[int] = []
        if len(recent) > 2 * _WINDOW and recent[_WINDOW].high >= self._level:
            scores = self._scores([*recent])
            # what the detector was told before may lie before a gap: no comparison with NaN is true
            if scores:
                self._judge(frame, float("nan"))
            for one, score in zip(recent, scores, strict=False):
                cuts += self._judge(one.sketch.frame, score)
        # the next frame that may begin a scene needs the two before it, and the one before these
        if max(recent[-1].high, recent[max(-2, -len(recent))].high) < self._level:
            for one in [*recent][:-3]:
                one.sketch.frame.decoded = None
        self.suspect = scored.high >= self._level
        return cuts

    def _scores(self, window: list[Scored]) -> list[float]:
        """What the detector is to be told of a window; nothing where its middle begins no scene.

        They are exact scores, or bounds of which the same follows.
        """
        around = [*window]
        middle = around.pop(_WINDOW)
        for number, one in enumerate([*window, middle, *around]):
            if all(scored.is_exact for scored in window):
                break
            highs, lows = [one.high for one in around], [max(0.0, one.low) for one in around]
            if middle.high < max(self._level, self._ratio * sum(lows) / len(lows)):
                return []
            if middle.low > max(self._level, self._ratio * sum(highs) / len(highs)):
                return [*highs[:_WINDOW], middle.low, *highs[_WINDOW:]]
            if number < len(window):
                one.estimate(1)
            else:
                one.exact()
        return [one.low for one in window]


class ScreenedContent(CutFinder):
    """The cuts of ContentDetector, which is told only of frames that may reach its level, and of
    those that follow for as long as a scene must last: it waits for them to merge cuts.
    """

    def __init__(
        self, detector: Detector, threshold: float | None, min_scene_len: int | float
    ) -> None:
        """As of `CutFinder`."""
        super().__init__(detector, threshold, min_scene_len)
        self._screen = Screen(self._level)
        self._length = min_scene_len
        self._waits_until = 0.0  # seconds

    def push(self, frame: Candidate) -> list[int]:
        """As `CutFinder.push`."""
        if self._level < _LEAST:
            return super().push(frame)
        scored = self._screen.score(frame)
        self.suspect = False
        seconds = frame.seconds
        before = scored.before
        if scored.high >= self._level:
            length = self._length
            rate = float(frame.rate.fps)
            self._waits_until = seconds + (
                length if isinstance(length, float) else (length + 1) / rate
            )
            return self._judge(frame, scored.low if scored.low > self._level else scored.exact())
        if before is not None and before.frame.seconds > self._waits_until:
            return []
        return self._judge(frame, 0.0)


# by detector: what finds the same cuts as its `CutFinder`, at less cost
SCREENED: dict[Detector, type[ScreenedAdaptive | ScreenedContent]] = {
    "adaptive": ScreenedAdaptive,
    "content": ScreenedContent,
    "panda": ScreenedContent,
}
