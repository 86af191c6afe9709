"""Finds the cuts between scenes: PySceneDetect's detectors on small pictures with exact times.

`Shrinker` scales the whole frame in BGR exactly as ``scenedetect.detect()`` does, so the cuts are
the same. `screening` leaves out what cannot change them.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import cached_property
from typing import Any, Literal, NamedTuple, cast

import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from curate.tasks.video.colours import is_full_range
from curate.tasks.video.geometry import plane
from curate.tasks.video.stand_ins import bare, standing_in
from curate.tasks.video.tone_mapping import HDR, ToneMapper

# without its progress bar, its readers of videos, and what writes them: that starts ffmpeg to see
# whether it is there
with standing_in({"scenedetect": bare("scenedetect"), "tqdm": None}):
    from scenedetect.common import FrameTimecode, Timecode
    from scenedetect.detectors import AdaptiveDetector, ContentDetector

BGR = NDArray[np.uint8]
Gray = NDArray[np.uint8]
Detector = Literal["adaptive", "content", "panda", "stride", "learned", "gated"]
LONGER_SIDE = 256  # of the pictures that the detectors see: PySceneDetect's DEFAULT_MIN_WIDTH
# formats whose first plane is the luma, of 8 bits
_LUMA_FIRST = ("yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p")
# to 0 to 255, from 16 to 235
_FULL_RANGE = np.clip(np.rint((np.arange(256) - 16) * (255 / 219)), 0, 255).astype(np.uint8)
_NO_PICTURE = np.empty((0, 0, 3), np.uint8)  # for a detector that is told its scores
DEFAULT_THRESHOLD = {"adaptive": 3.0, "content": 25.0, "panda": 25.0}


def small_size(frame: VideoFrame) -> tuple[int, int]:
    """Width and height of the detectors' picture of a frame."""
    factor = max(1.0, max(frame.width, frame.height) / LONGER_SIDE)
    return max(1, round(frame.width / factor)), max(1, round(frame.height / factor))


class Shrinker:
    """Makes pictures for the detectors: a longer side of about 256 pixels, not turned upright.

    It takes the same two steps as OpenCV's reader and PySceneDetect: swscale to BGR at full size,
    then linear interpolation. Scaling within swscale costs half as much, but moves cuts on 1 file
    of 17.
    """

    def __init__(self, tone_mapper: ToneMapper | None = None) -> None:
        self._scaler = VideoReformatter()
        self._tone_mapper = tone_mapper

    def shrink(self, frame: VideoFrame) -> BGR:
        """The frame in BGR, H x W x 3, 0 to 255; of an HDR one as the tone mapper shows it."""
        size = small_size(frame)
        if self._tone_mapper is not None and frame.color_trc in HDR:
            frame = self._tone_mapper(frame, size)
        bgr = self._scaler.reformat(frame, format="bgr24", threads=1)
        full = np.asarray(bgr.to_ndarray(), np.uint8)
        if (frame.width, frame.height) == size:
            return full
        return cv2.resize(full, size, interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False)


class DetectorTime(FrameTimecode):  # type: ignore[misc]  # scenedetect is not typed
    """A time code with the index of its frame; detectors return the very objects they get."""

    def __init__(self, index: int, pts: int, time_base: Fraction, fps: Fraction) -> None:
        super().__init__(Timecode(pts, time_base), fps)
        self.index = index


class Rate(NamedTuple):
    """How the frames of a video follow each other."""

    time_base: Fraction
    fps: Fraction  # on average


class Candidate:
    """A frame, which may begin a scene, as finders see it. What they ask for is made then, once."""

    def __init__(
        self,
        index: int,
        pts: int,
        rate: Rate,
        decoded: VideoFrame | None,
        shrink: Callable[[VideoFrame], BGR],
        thumb: Callable[[VideoFrame], BGR] | None = None,
    ) -> None:
        """`pts` is counted from the first frame of the video."""
        self.index = index
        self.pts = pts
        self.rate = rate
        self.decoded = decoded
        self._shrink = shrink
        self._thumb = thumb

    @property
    def seconds(self) -> float:
        """From the first frame of the video."""
        return self.pts * self.rate.time_base.numerator / self.rate.time_base.denominator

    @cached_property
    def picture(self) -> BGR:
        """As a `Shrinker` makes it."""
        return self._shrink(cast(VideoFrame, self.decoded))

    @cached_property
    def hsv(self) -> NDArray[np.uint8]:
        """The picture in OpenCV's HSV, H x W x 3."""
        return cv2.cvtColor(self.picture, cv2.COLOR_BGR2HSV).astype(np.uint8, copy=False)

    @cached_property
    def thumbnail(self) -> BGR:
        """27 x 48 x 3 in RGB, for the network that finds cuts."""
        assert self._thumb is not None
        return self._thumb(cast(VideoFrame, self.decoded))

    @cached_property
    def luma(self) -> Gray:
        """The picture's luma, 0 to 255: what the source stores, where that is of 8 bits."""
        frame = cast(VideoFrame, self.decoded)
        if frame.format.name not in _LUMA_FIRST or frame.color_trc in HDR:
            return cv2.cvtColor(self.picture, cv2.COLOR_BGR2GRAY).astype(np.uint8, copy=False)
        stored = cv2.resize(plane(frame, 0), small_size(frame), interpolation=cv2.INTER_LINEAR)
        full = stored if is_full_range(frame) else cv2.LUT(stored, _FULL_RANGE)
        return full.astype(np.uint8, copy=False)


def content_score(frame: Candidate, before: Candidate) -> float:
    """ContentDetector's score of a frame, the mean absolute HSV difference from the one before.

    It is the library's to the last bit, at a third of its cost.
    """
    if frame.hsv.shape != before.hsv.shape:
        return 0.0
    count = float(frame.hsv.shape[0] * frame.hsv.shape[1])
    hue, saturation, value, _ = cv2.sumElems(cv2.absdiff(frame.hsv, before.hsv))
    return sum((hue / count, saturation / count, value / count)) / 3.0


class CutFinder:
    """Finds the first frame of each new scene, a few frames late.

    After each `push`, `suspect` says whether that frame may yet turn out to begin a scene.
    """

    suspect = False
    transitions: dict[int, int] = {}
    """Scenes that are the frames of a transition: the first frame of each, and how many it has."""

    def __init__(
        self, detector: Detector, threshold: float | None, min_scene_len: int | float
    ) -> None:
        """`min_scene_len`: frames, or seconds if it is a float."""
        level = DEFAULT_THRESHOLD[detector] if threshold is None else threshold
        self._score = 0.0
        self._before: Candidate | None = None
        if detector == "adaptive":
            self._detector: Any = AdaptiveDetector(level, min_scene_len)
            self._level = self._detector.min_content_val
        else:
            self._detector = ContentDetector(level, min_scene_len)
            self._level = level
        self._detector._calculate_frame_score = lambda *_: self._score

    def push(self, frame: Candidate) -> list[int]:
        """Process the next frame; returns the indices of frames up to it that begin a scene."""
        before, self._before = self._before, frame
        return self._judge(frame, 0.0 if before is None else content_score(frame, before))

    def _judge(self, frame: Candidate, score: float) -> list[int]:
        """The cuts that the detector finds when it gets a frame of this score."""
        self._score = score
        self.suspect = score >= self._level
        time = DetectorTime(frame.index, frame.pts, *frame.rate)
        return [cut.index for cut in self._detector.process_frame(time, _NO_PICTURE)]

    def flush(self) -> list[int]:
        """The indices that further frames would have been waited for."""
        return []


class Stride(CutFinder):
    """A cut at the first frame at or after each multiple of `seconds` from the first frame."""

    def __init__(self, seconds: float) -> None:
        self._step = Fraction(seconds).limit_denominator(1000)
        self._next = self._step

    def push(self, frame: Candidate) -> list[int]:
        """As `CutFinder.push`."""
        now = frame.pts * frame.rate.time_base
        if now < self._next:
            return []
        self._next = (now // self._step + 1) * self._step
        return [frame.index]
