"""Turns interlaced frames, which hold two fields of different times, into whole pictures."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from av.video.frame import VideoFrame

from curate.tasks.video.graphs import chain

_BWDIF = "bwdif=mode=send_frame:parity=auto:deint=interlaced"


@dataclass
class Interlacing:
    """Whether any of the frames so far is flagged as interlaced."""

    found: bool = False

    def noted(self, frames: Iterable[VideoFrame]) -> Iterator[VideoFrame]:
        """The frames; what each claims is noted."""
        for frame in frames:
            self.found = self.found or frame.interlaced_frame
            yield frame


def deinterlaced(
    frames: Iterable[VideoFrame], interlacing: Interlacing | None = None
) -> Iterator[VideoFrame]:
    """The frames, as many and at the same times, with the picture of the first field in each.

    ffmpeg's bwdif fills in the lines of the other field, from the frames before and after. Frames
    that are not flagged as interlaced stay as they are. `interlacing` notes what the frames claim.
    """
    interlacing = interlacing or Interlacing()
    running: _Bwdif | None = None
    before: VideoFrame | None = None  # while none is flagged
    for frame in frames:
        if running is not None and not running.fits(frame):
            yield from running.push(None)
            running = before = None
        if running is None and not frame.interlaced_frame:
            yield frame
            before = frame
            continue
        interlacing.found = True
        running = running or _Bwdif(frame, before)
        yield from running.push(frame)
    if running is not None:
        yield from running.push(None)


class _Bwdif:
    """The filter for frames of one size and format. It gives each frame when it has the next.

    It sees the frame `before` the first, if that fits, without giving it.
    """

    def __init__(self, first: VideoFrame, before: VideoFrame | None) -> None:
        self._form = _form(first)
        self._graph = chain(first, [_BWDIF])
        self._taken: deque[VideoFrame | None] = deque()  # whose pictures are yet to come
        if before is not None and self.fits(before):
            self._graph.vpush(before)
            self._taken.append(None)

    def fits(self, frame: VideoFrame) -> bool:
        """Whether the frame has the size and format of the first one."""
        return _form(frame) == self._form

    def push(self, frame: VideoFrame | None) -> Iterator[VideoFrame]:
        """Take the next frame, or None after the last one; yields the pictures that are ready."""
        self._graph.vpush(frame)
        if frame is not None:
            self._taken.append(frame)
        while self._taken:
            try:
                picture = self._graph.vpull()
            except (BlockingIOError, EOFError):
                return
            taken = self._taken.popleft()
            if taken is None:
                continue
            picture.pts, picture.time_base = taken.pts, taken.time_base
            picture.duration = taken.duration
            yield picture


def _form(frame: VideoFrame) -> tuple[int, int, str]:
    return frame.width, frame.height, frame.format.name
