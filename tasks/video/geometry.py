"""How coded pixels are displayed: orientation, sample aspect ratio, upright pictures."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, cast

import cv2
import numpy as np
from av.sidedata.sidedata import SideData
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from curate.tasks.video.colours import is_full_range, rgb_matrix
from curate.tasks.video.tone_mapping import HDR, ToneMapper

RGB = NDArray[np.uint8]
# YUV of 8 bits, and the same with a chroma for each pixel
_FULL_CHROMA = {
    "yuv420p": "yuv444p", "yuv422p": "yuv444p", "yuvj420p": "yuvj444p", "yuvj422p": "yuvj444p",
}  # fmt: skip


@dataclass
class Geometry:
    """How coded pixels become a picture on the screen."""

    coded_width: int
    coded_height: int
    sample_aspect_ratio: Fraction  # width of a pixel / its height
    rotation: int  # 0, 90, 180 or 270 degrees clockwise make the picture upright
    mirrored: bool = False  # after the rotation, left and right change places

    def __post_init__(self) -> None:
        width, height, ratio = self.coded_width, self.coded_height, self.sample_aspect_ratio
        if ratio >= 1:  # no side is shrunk
            width = max(1, round(width * ratio))
        else:
            height = max(1, round(height / ratio))
        self.square = width, height
        """Width and height in square pixels, before the rotation."""
        self.sideways = self.rotation % 180 != 0
        """Whether rotation swaps width and height."""
        self.size = (height, width) if self.sideways else (width, height)
        """Width and height as displayed."""

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
        """The picture (H x W or H x W x C), rotated and mirrored as displayed."""
        turned = np.rot90(picture, -self.rotation // 90) if self.rotation else picture
        return np.ascontiguousarray(turned[:, ::-1] if self.mirrored else turned)


def geometry(stream: VideoStream, frame: VideoFrame) -> Geometry:
    """The geometry of a stream, by its first frame. Frames of another size are scaled to it.

    A sample aspect ratio that is missing or outside 1:8 to 8:1 counts as 1. The rotation is rounded
    to a multiple of 90 degrees.
    """
    ratio = stream.sample_aspect_ratio
    if not ratio or not Fraction(1, 8) <= ratio <= 8:
        ratio = Fraction(1)
    clockwise, mirrored = 0.0, False  # degrees
    try:
        data = cast(SideData | None, frame.side_data.get("DISPLAYMATRIX"))
    except ValueError:  # PyAV cannot list a kind of side data that it does not know
        data = None
        if abs(frame.rotation) <= 180:
            clockwise = -frame.rotation
    if data is not None:
        # (x, y) is shown at (ax + cy, bx + dy), where y grows downwards
        a, b, _, c, d = struct.unpack_from("=5i", bytes(data))
        if a * d != b * c:  # else no area is left: the frame is shown as it is stored
            mirrored = a * d < b * c
            cosine = (-a if mirrored else a) / math.hypot(a, c)
            clockwise = math.degrees(math.atan2(b / math.hypot(b, d), cosine))
    rotation = round(clockwise / 90) % 4 * 90
    return Geometry(frame.width, frame.height, ratio, rotation, mirrored)


@dataclass(frozen=True)
class Converter:
    """Scales frames to one size, with swscale's tables kept from frame to frame."""

    size: tuple[int, int]  # before the rotation
    shape: Geometry
    interpolation: Interpolation
    tone_mapper: ToneMapper | None = None  # None: HDR frames stay as they are
    form: str = "rgb24"  # or gray
    scaler: VideoReformatter = field(default_factory=VideoReformatter)

    def convert(self, frame: VideoFrame) -> NDArray[np.uint8]:
        """The frame as displayed, 0 to 255: H x W x 3 (RGB), or its luma, H x W."""
        if self.tone_mapper is not None and frame.color_trc in HDR:
            frame = self.tone_mapper(frame, self.size)
        is_scaled = self.size != (frame.width, frame.height)
        is_plain = self.form == "rgb24" and self.interpolation == Interpolation.BILINEAR
        matrix = None
        if is_scaled and is_plain and frame.format.name in _FULL_CHROMA:
            # scaled before it is turned to RGB: swscale does both at once line by line, which takes
            # two to four times as long
            matrix = rgb_matrix(int(frame.colorspace), is_full_range(frame))
        form = self.form if matrix is None else _FULL_CHROMA[frame.format.name]
        scaled = self.scaler.reformat(
            frame, *self.size, format=form, interpolation=self.interpolation, threads=1
        )
        if matrix is None:
            return self.shape.upright(scaled.to_ndarray())
        yuv = cv2.merge([plane(scaled, n) for n in range(3)])
        return self.shape.upright(cv2.transform(yuv, matrix))


def plane(frame: VideoFrame, number: int) -> NDArray[np.uint8]:
    """A plane of 8-bit samples, H x W, as the frame holds it."""
    stored = frame.planes[number]
    lines = np.frombuffer(cast(Any, stored), np.uint8)[: stored.height * stored.line_size]
    return lines.reshape(stored.height, stored.line_size)[:, : stored.width]
