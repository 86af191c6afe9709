"""Decodes some frames of a span by their numbers, straight at the sizes wanted, and holds no
others.

The packets are read first, without decoding: they tell the time stamp of each number, and where
keyframes let the decoder skip what nobody wants.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation
from av.video.stream import VideoStream
from numpy.typing import NDArray

from curate.tasks.video.decode import decode, open_media, packets, video_stream
from curate.tasks.video.geometry import Converter, Geometry, geometry
from curate.tasks.video.span import Pick, SpanShape

Pictures = NDArray[np.uint8]  # n x height x width x 3


@dataclass(frozen=True)
class _Plan:
    """Time stamps of the frames of a span, in order, and those of keyframes."""

    stamps: Sequence[int]
    keys: Sequence[int]


def pick_frames(
    path: str,
    start_pts: int,
    end_pts: int,
    planned: int,
    choose: Callable[[SpanShape], Sequence[Pick]],
) -> list[Pictures]:
    """The frames that `choose` picks of the span ``start_pts <= pts < end_pts``, an array for each
    Pick.

    The span is decoded once for all of them. `planned` is how many frames it has where its packets
    do not tell. A frame that does not decode is replaced by the next one that does, at the end by
    the last. Raises MediaError.
    """
    with open_media(path) as container:
        stream = video_stream(container)
        plan = _planned(container, stream, (start_pts, end_pts), planned)
        first = next(decode(container, stream, start_pts=start_pts, end_pts=end_pts))
        look = geometry(stream, first)
        count = len(plan.stamps) if plan else planned
        seconds = float((end_pts - start_pts) * Fraction(stream.time_base or 1))
        picks = choose(SpanShape(count, count / seconds if seconds > 0 else None, *look.size))
        numbers = sorted({i for pick in picks for i in pick.indices})
        found = _Found(picks, look)
        for number, frame in _numbered(container, stream, (start_pts, end_pts), plan, numbers):
            found.add(number, frame)
    return found.arrays


def _planned(
    container: InputContainer, stream: VideoStream, span: tuple[int, int], planned: int
) -> _Plan | None:
    """The span by its packets; None where they do not tell: then frames are counted while they are
    decoded.
    """
    plan = _stamped(container, stream, span, from_start=False)
    if (
        plan is None or len(plan.stamps) != planned
    ):  # a seek in a transport stream may have come too late
        plan = _stamped(container, stream, span, from_start=True)
    return plan


def _stamped(
    container: InputContainer, stream: VideoStream, span: tuple[int, int], from_start: bool
) -> _Plan | None:
    start, end = span
    stamps: list[int] = []
    keys: list[int] = []
    try:
        if from_start:
            container.seek(min(0, container.start_time or 0))
        else:
            container.seek(start, stream=stream)
    except FFmpegError:
        return None
    for packet in packets(container, stream):
        if packet.size == 0:
            break
        if packet.pts is None or packet.dts is None:
            return None
        if packet.is_keyframe:
            keys.append(packet.pts)
        if start <= packet.pts < end:
            stamps.append(packet.pts)
        if packet.dts >= end:
            break
    stamps.sort()
    right = stamps[:1] == [start] and len(set(stamps)) == len(stamps)
    return _Plan(stamps, sorted(keys)) if right else None


def _numbered(
    container: InputContainer,
    stream: VideoStream,
    span: tuple[int, int],
    plan: _Plan | None,
    numbers: Sequence[int],
) -> Iterator[tuple[int, VideoFrame]]:
    """The wanted frames with their numbers, each once."""
    frames = decode(container, stream, start_pts=span[0], end_pts=span[1])
    if plan is None:
        yield from _counted(frames, numbers)
        return
    here, last = span[0], None
    for number in numbers:
        stamp = plan.stamps[number]
        if any(here < key <= stamp for key in plan.keys):
            frames = decode(container, stream, start_pts=stamp, end_pts=span[1])
        if last is None or (last.pts or 0) < stamp:
            last = next((f for f in frames if (f.pts or 0) >= stamp), last)
        here = stamp
        if last is not None:
            yield number, last


def _counted(
    frames: Iterator[VideoFrame], numbers: Sequence[int]
) -> Iterator[tuple[int, VideoFrame]]:
    wanted = iter(numbers)
    number = next(wanted, None)
    last = None
    for place, last in enumerate(frames):
        if place == number:
            yield number, last
            number = next(wanted, None)
        if number is None:
            return
    while number is not None and last is not None:  # fewer frames than planned
        yield number, last
        number = next(wanted, None)


class _Found:
    """The pictures found so far, in their places: held once, for there may be hundreds."""

    def __init__(self, picks: Sequence[Pick], look: Geometry) -> None:
        self._picks = picks
        sizes = [pick.size or look.size for pick in picks]
        self.arrays: list[Pictures] = [
            np.empty((len(pick.indices), height, width, 3), np.uint8)
            for pick, (width, height) in zip(picks, sizes, strict=True)
        ]
        self._converters = [
            Converter(_before_rotation(pick.size, look), look, Interpolation.BICUBIC)
            for pick in picks
        ]

    def add(self, number: int, frame: VideoFrame) -> None:
        """Scale a frame for every pick that wants its number."""
        for pick, array, converter in zip(self._picks, self.arrays, self._converters, strict=True):
            places = [place for place, wanted in enumerate(pick.indices) if wanted == number]
            if places:
                array[places] = converter.rgb(frame)


def _before_rotation(size: tuple[int, int] | None, look: Geometry) -> tuple[int, int]:
    if size is None:
        return look.square
    return (size[1], size[0]) if look.rotation in (90, 270) else size
