"""How coded pixels are displayed: rotation, sample aspect ratio, upright pictures."""

from __future__ import annotations

from dataclasses import dataclass, field
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
    rotation: int  # 0, 90, 180 or 270 degrees clockwise make the picture upright

    @property
    def square(self) -> tuple[int, int]:
        """Width and height in square pixels, before the rotation. No side is shrunk."""
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
        """Width and height before the rotation, scaled to this shorter or longer side.

        They are never larger than displayed.
        """
        width, height = self.square
        scale = Fraction(1)
        if shorter:
            scale = min(scale, Fraction(shorter, min(width, height)))
        if longer:
            scale = min(scale, Fraction(longer, max(width, height)))
        return max(1, round(width * scale)), max(1, round(height * scale))

    def upright(self, picture: NDArray[Any]) -> NDArray[Any]:
        """The picture (H x W or H x W x C), rotated as displayed."""
        turned = np.rot90(picture, -self.rotation // 90) if self.rotation else picture
        return np.ascontiguousarray(turned)


def geometry(stream: VideoStream, frame: VideoFrame) -> Geometry:
    """The geometry of a stream, by its first frame. Frames of another size are scaled to it.

    A sample aspect ratio that is missing or outside 1:8 to 8:1 counts as 1. The rotation is rounded
    to a multiple of 90 degrees; mirroring is not undone.
    """
    ratio = stream.sample_aspect_ratio
    if not ratio or not Fraction(1, 8) <= ratio <= 8:
        ratio = Fraction(1)
    clockwise = round(-frame.rotation / 90) % 4 * 90  # ffmpeg counts counterclockwise
    return Geometry(frame.width, frame.height, ratio, clockwise)


@dataclass(frozen=True)
class Converter:
    """Scales frames to one size, with swscale's tables kept from frame to frame."""

    size: tuple[int, int]  # before the rotation
    shape: Geometry
    interpolation: Interpolation
    scaler: VideoReformatter = field(default_factory=VideoReformatter)

    def rgb(self, frame: VideoFrame) -> RGB:
        """The frame as displayed, H x W x 3, 0 to 255."""
        scaled = self.scaler.reformat(
            frame, *self.size, format="rgb24", interpolation=self.interpolation, threads=1
        )
        return self.shape.upright(scaled.to_ndarray())
