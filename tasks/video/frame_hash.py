"""Hashes of frames as they are decoded, before anything is done to them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from fractions import Fraction

import av
from av.codec.context import CodecContext
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from curate.configs.row_errors import FramesDiffer
from curate.tasks.video.still_images import read_image

_ANY_CLOCK = Fraction(1, 25)


class FrameHash:
    """The SHA-256 of frames, one after the other, in the pixels in which they are stored.

    It is that of `ffmpeg -i SOURCE -f hash -hash sha256 -c:v rawvideo` for the same frames. Their
    times and colour tags are no part of it.
    """

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._raw: VideoCodecContext | None = None
        self.count = 0

    def add(self, frame: VideoFrame) -> None:
        """Take one more frame; it stays as it is."""
        raw = self._raw
        shape = (frame.width, frame.height, frame.format.name)
        if raw is None or shape != (raw.width, raw.height, raw.pix_fmt):
            raw = self._raw = CodecContext.create("rawvideo", "w")
            raw.width, raw.height, raw.pix_fmt = shape
            raw.time_base = _ANY_CLOCK
        pts, time_base = frame.pts, frame.time_base
        frame.pts, frame.time_base = None, _ANY_CLOCK
        for packet in raw.encode(frame):
            self._sha256.update(packet)
        frame.pts = pts
        if time_base is not None:
            frame.time_base = time_base
        self.count += 1

    def hexdigest(self) -> str:
        """The hash of the frames so far."""
        return self._sha256.hexdigest()


class Proof:
    """The frames of a source as they are, to be iterated over; `check` says whether they are those
    of a hash. Whoever iterates may stop early.
    """

    def __init__(self, frames: Iterator[VideoFrame], expected: str, source: str) -> None:
        self._frames = frames
        self._expected = expected
        self._source = source
        self._hash = FrameHash()

    def __iter__(self) -> Iterator[VideoFrame]:
        return self

    def __next__(self) -> VideoFrame:
        frame = next(self._frames)
        self._hash.add(frame)
        return frame

    def check(self) -> None:
        """Take the frames that nobody took. Raises FramesDiffer if all have another hash."""
        for _ in self:
            pass
        if self._hash.hexdigest() != self._expected:
            raise FramesDiffer(source=self._source)


def hash_image(path: str) -> str:
    """The SHA-256 of the pixels (H x W x 3, RGB) of a still image. Raises as `read_image` does."""
    return hashlib.sha256(read_image(path).pixels.tobytes()).hexdigest()


def decoder() -> str:
    """What decodes here: PyAV and the library of ffmpeg, with their versions."""
    version = ".".join(map(str, av.library_versions["libavcodec"]))
    return f"PyAV {av.__version__}, libavcodec {version}"
