"""Finds the cuts between scenes: PySceneDetect's detectors on small pictures with exact times.

`Shrinker` scales the whole frame in BGR exactly as ``scenedetect.detect()`` does, so the cuts are
the same.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Literal

import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from curate.tasks.video.stand_ins import bare, standing_in
from curate.tasks.video.tone_mapping import ToneMapper

# without its progress bar, its readers of videos, and what writes them: that starts ffmpeg to see
# whether it is there
with standing_in({"scenedetect": bare("scenedetect"), "tqdm": None}):
    from scenedetect.common import FrameTimecode, Timecode
    from scenedetect.detectors import AdaptiveDetector, ContentDetector

BGR = NDArray[np.uint8]
Detector = Literal["adaptive", "content", "panda", "stride", "learned", "gated"]
LONGER_SIDE = 256  # of the pictures that the detectors see: PySceneDetect's DEFAULT_MIN_WIDTH
DEFAULT_THRESHOLD = {"adaptive": 3.0, "content": 25.0, "panda": 25.0}


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
        factor = max(1.0, max(frame.width, frame.height) / LONGER_SIDE)
        size = max(1, round(frame.width / factor)), max(1, round(frame.height / factor))
        if self._tone_mapper is not None:
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


class _Score:
    """ContentDetector's frame score, the mean absolute HSV difference, at a third of its cost."""

    _last: BGR | None = None
    score = 0.0

    def __call__(self, timecode: FrameTimecode, picture: BGR) -> float:
        hsv = cv2.cvtColor(picture, cv2.COLOR_BGR2HSV).astype(np.uint8, copy=False)
        last, self._last = self._last, hsv
        if last is None or last.shape != hsv.shape:
            return 0.0
        count = float(hsv.shape[0] * hsv.shape[1])
        hue, saturation, value, _ = cv2.sumElems(cv2.absdiff(hsv, last))
        self.score = sum((hue / count, saturation / count, value / count)) / 3.0
        return self.score


class CutFinder:
    """Finds the first frame of each new scene, a few frames late.

    After each `push`, `suspect` says whether that frame may yet turn out to begin a scene.
    """

    needs_pictures = True
    needs_thumbnails = False  # 48 x 27 pixels instead
    suspect = False
    transitions: dict[int, int] = {}
    """Scenes that are the frames of a transition: the first frame of each, and how many it has."""

    def __init__(
        self, detector: Detector, threshold: float | None, min_scene_len: int | float
    ) -> None:
        """`min_scene_len`: frames, or seconds if it is a float."""
        level = DEFAULT_THRESHOLD[detector] if threshold is None else threshold
        self._score = _Score()
        if detector == "adaptive":
            self._detector: Any = AdaptiveDetector(level, min_scene_len)
            self._level = self._detector.min_content_val
        else:
            self._detector = ContentDetector(level, min_scene_len)
            self._level = level
        # a version of PySceneDetect without this method ignores it and scores frames itself
        self._detector._calculate_frame_score = self._score

    def push(self, time: DetectorTime, picture: BGR) -> list[int]:
        """Process the next frame; returns the indices of frames up to it that begin a scene."""
        cuts = [cut.index for cut in self._detector.process_frame(time, picture)]
        self.suspect = bool(self._score.score >= self._level)
        return cuts

    def flush(self) -> list[int]:
        """The indices that further frames would have been waited for."""
        return []


class Stride(CutFinder):
    """A cut at the first frame at or after each multiple of `seconds` from the first frame."""

    needs_pictures = False

    def __init__(self, seconds: float) -> None:
        self._step = Fraction(seconds).limit_denominator(1000)
        self._next = self._step

    def push(self, time: DetectorTime, picture: BGR) -> list[int]:
        """As `CutFinder.push`."""
        now = time.pts * Fraction(time.time_base)
        if now < self._next:
            return []
        self._next = (now // self._step + 1) * self._step
        return [time.index]
