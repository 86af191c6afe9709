"""Decodes chosen frames of a span by their numbers, straight to the needed sizes.

No other frames are kept in memory. The packets are read first, without decoding: they give the time
stamp of each number, and the keyframes that let the decoder skip unneeded frames.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation
from av.video.stream import VideoStream
from numpy.typing import NDArray

from curate.tasks.video.decode import decode, open_media, packets, packets_from_start, video_stream
from curate.tasks.video.deinterlace import deinterlaced
from curate.tasks.video.geometry import Converter, Geometry, geometry
from curate.tasks.video.span import Pick, Span, SpanShape
from curate.tasks.video.timed_pictures import timed
from curate.tasks.video.tone_mapping import ToneMapper

Pictures = NDArray[np.uint8]  # n x height x width x 3
_Place = tuple[Pictures, int]  # an array of a Pick, and the position in it


@dataclass(frozen=True)
class _PacketTimes:
    """Time stamps of the frames of a span and of the keyframes, both sorted."""

    stamps: Sequence[int]
    keys: Sequence[int]


def pick_frames(
    path: str, span: Span, choose: Callable[[SpanShape], Sequence[Pick]]
) -> list[Pictures]:
    """The frames that `choose` picks of a span: an array per Pick.

    The span is decoded once for all of them. `span.frames` is the number of its frames for spans
    whose packets do not tell. Pictures are deinterlaced and tone-mapped. In place of a frame that
    does not decode comes the next one that does, or the last one. Raises MediaError.
    """
    planned = span.frames or 1
    with open_media(path) as container:
        stream = video_stream(container)

        def frames_from(start: int) -> Iterator[VideoFrame]:
            return decode(container, stream, start_pts=start, end_pts=span.end, access=span.access)

        times: _PacketTimes | None = None
        if span.access == "seek":
            times = _packet_times(container, stream, span, from_start=False)
            if times is None or len(times.stamps) != span.frames:
                # in a transport stream a seek may land too late
                times = _packet_times(container, stream, span, from_start=True)
        first = next(frames_from(span.start))
        shape = geometry(stream, first)
        count = len(times.stamps) if times else planned
        seconds = float(span.seconds)
        fps = count / seconds if seconds > 0 else None
        picks = choose(SpanShape(count, fps, *shape.size, times.stamps if times else ()))
        numbers = sorted({i for pick in picks for i in pick.indices})
        if times is None:
            frames = _counted(deinterlaced(frames_from(span.start)), numbers)
        else:
            frames = _sought(frames_from, times, numbers)
        pictures = _PickedPictures(picks, shape)
        for number, frame in frames:
            pictures.add(number, frame)
    return [timed(a, pick.seconds) for a, pick in zip(pictures.arrays, picks, strict=True)]


def _packet_times(
    container: InputContainer, stream: VideoStream, span: Span, from_start: bool
) -> _PacketTimes | None:
    """The times of a span's packets, read from the span on, or from the start of the file.

    None where the packets do not tell them.
    """
    stamps: list[int] = []
    keys: list[int] = []
    if from_start:
        found = packets_from_start(container, stream)
    else:
        try:
            container.seek(span.start, stream=stream)
        except FFmpegError:
            return None
        found = packets(container, stream)
    for packet in found:
        if packet.size == 0:
            break
        if packet.pts is None:
            return None
        if packet.is_keyframe:
            keys.append(packet.pts)
        if span.start <= packet.pts < span.end:
            stamps.append(packet.pts)
        # Matroska tells none for its first packets, where frames refer to later ones
        if packet.dts is not None and packet.dts >= span.end:
            break
    stamps.sort()
    complete = stamps[:1] == [span.start] and len(set(stamps)) == len(stamps)
    return _PacketTimes(stamps, sorted(keys)) if complete else None


def _sought(
    frames_from: Callable[[int], Iterator[VideoFrame]],
    times: _PacketTimes,
    numbers: Sequence[int],
) -> Iterator[tuple[int, VideoFrame]]:
    """The frames of these numbers, each once, by their time stamps, with seeks over gaps.

    `frames_from` decodes the span from a time stamp on.
    """
    position, last = times.stamps[0], None
    frames = deinterlaced(frames_from(position))
    for number in numbers:
        stamp = times.stamps[number]
        if any(position < key <= stamp for key in times.keys):
            frames = deinterlaced(frames_from(stamp))
        if last is None or (last.pts or 0) < stamp:
            last = next((f for f in frames if (f.pts or 0) >= stamp), last)
        position = stamp
        if last is not None:
            yield number, last


def _counted(
    frames: Iterator[VideoFrame], numbers: Sequence[int]
) -> Iterator[tuple[int, VideoFrame]]:
    """The frames of these numbers, each once, by counting all decoded frames."""
    remaining = iter(numbers)
    number = next(remaining, None)
    last = None
    for i, last in enumerate(frames):
        if i == number:
            yield number, last
            number = next(remaining, None)
        if number is None:
            return
    while number is not None and last is not None:  # fewer frames than planned
        yield number, last
        number = next(remaining, None)


class _PickedPictures:
    """An array of pictures for each Pick, filled in place, as there may be hundreds of pictures."""

    def __init__(self, picks: Sequence[Pick], shape: Geometry) -> None:
        self._converters: dict[tuple[int, int], Converter] = {}
        # by frame, then by size: where its picture belongs
        self._places: defaultdict[int, defaultdict[tuple[int, int], list[_Place]]] = defaultdict(
            lambda: defaultdict(list)
        )
        tone_mapper = ToneMapper()
        self.arrays: list[Pictures] = []
        for pick in picks:
            width, height = pick.size or shape.size
            array = np.empty((len(pick.indices), height, width, 3), np.uint8)
            self.arrays.append(array)
            size = shape.square  # before the rotation
            if pick.size is not None:
                size = pick.size[::-1] if shape.sideways else pick.size
            if size not in self._converters:
                bicubic = Interpolation.BICUBIC
                self._converters[size] = Converter(size, shape, bicubic, tone_mapper)
            for position, number in enumerate(pick.indices):
                self._places[number][size].append((array, position))

    def add(self, number: int, frame: VideoFrame) -> None:
        """Scale a frame into the array of every Pick that has its number, once for each size."""
        for size, places in self._places.pop(number).items():
            picture = self._converters[size].convert(frame)
            for array, position in places:
                array[position] = picture
