"""What coded pixels look like on the screen: rotation and sample aspect ratio, and small upright
pictures.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

RGB = NDArray[np.uint8]


@dataclass(frozen=True)
class Geometry:
    """How coded pixels become a picture on the screen."""

    coded_width: int
    coded_height: int
    sample_aspect_ratio: Fraction  # width of a pixel / its height
    rotation: int  # 0, 90, 180 or 270 degrees clockwise, to stand upright

    @property
    def square(self) -> tuple[int, int]:
        """Width and height with square pixels, before the rotation. None is shrunk."""
        ratio = self.sample_aspect_ratio
        if ratio >= 1:
            return max(1, round(self.coded_width * ratio)), self.coded_height
        return self.coded_width, max(1, round(self.coded_height / ratio))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as displayed."""
        width, height = self.square
        return (height, width) if self.rotation in (90, 270) else (width, height)

    def fit(self, *, shorter: int | None = None, longer: int | None = None) -> tuple[int, int]:
        """The size before the rotation with the shorter or longer side as given, but no larger than
        displayed.
        """
        width, height = self.square
        scale = Fraction(1)
        if shorter:
            scale = min(scale, Fraction(shorter, min(width, height)))
        if longer:
            scale = min(scale, Fraction(longer, max(width, height)))
        return max(1, round(width * scale)), max(1, round(height * scale))

    def upright(self, picture: NDArray[Any]) -> NDArray[Any]:
        """The picture (H x W or H x W x C) turned as displayed."""
        turned = np.rot90(picture, -self.rotation // 90) if self.rotation else picture
        return np.ascontiguousarray(turned)


def rotation(frame: VideoFrame) -> int:
    """Degrees clockwise that the picture has to be turned to stand upright: 0, 90, 180 or 270.

    ffmpeg counts counterclockwise. Odd angles go to the nearest right one; mirroring is not undone.
    """
    return round(-frame.rotation / 90) % 4 * 90


def pixel_shape(stream: VideoStream) -> Fraction:
    """The sample aspect ratio; 1 where the source says none, or one beyond 1:8 to 8:1."""
    ratio = stream.sample_aspect_ratio
    return ratio if ratio and Fraction(1, 8) <= ratio <= 8 else Fraction(1)


def geometry(stream: VideoStream, frame: VideoFrame) -> Geometry:
    """The geometry of a stream, by its first frame. Frames of another size are scaled to it."""
    return Geometry(frame.width, frame.height, pixel_shape(stream), rotation(frame))


def display_size(stream: VideoStream, frame: VideoFrame) -> tuple[int, int]:
    """Width and height as displayed: rotation and sample aspect ratio applied."""
    return geometry(stream, frame).size


class Converter:
    """Scales frames to one size; keeps swscale's tables from frame to frame."""

    def __init__(
        self, size: tuple[int, int], shape: Geometry, interpolation: Interpolation
    ) -> None:
        self._size = size
        self._shape = shape
        self._how = interpolation
        self._scaler = VideoReformatter()

    def rgb(self, frame: VideoFrame) -> RGB:
        """The frame as displayed, H x W x 3, 0 to 255."""
        width, height = self._size
        small = self._scaler.reformat(
            frame, width, height, "rgb24", interpolation=self._how, threads=1
        )
        return self._shape.upright(small.to_ndarray())
