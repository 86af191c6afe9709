"""Writes spans of a source as MP4 files that hold exactly the planned frames.

Pictures are written as a player shows them: upright, with square pixels and, unless the target says
otherwise, without interlacing and HDR. 4:2:0 needs even sides, so the last column or row of an odd
side is left out. Colour tags (but for HDR, which becomes BT.709) and time stamps are kept: the
first frame is at 0, and the others are as far from it as in the source, to the tick.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar, cast

import av
from av.container import OutputContainer
from av.filter import Graph
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from curate.configs.row_errors import CutMismatch
from curate.tasks.inputs.paths import to_text
from curate.tasks.storage.locations import Location, replacing
from curate.tasks.video.deinterlace import deinterlaced
from curate.tasks.video.filled_memory import filled_memory
from curate.tasks.video.geometry import Geometry, geometry
from curate.tasks.video.graphs import chain
from curate.tasks.video.sound import SoundTrack
from curate.tasks.video.span import Span
from curate.tasks.video.tone_mapping import HDR, ToneMapper

T = TypeVar("T")

_LARGEST_TIMESCALE = (1 << 31) - 1  # of an mp4 track
# x264's superfast, with what costs little and saves much: benchmarks/encoding.py compares
_BALANCED = {"preset": "superfast", "rc-lookahead": "20", "mbtree": "1", "aq-mode": "2"}
_TURNS = {  # by rotation and mirrored
    (0, True): ("hflip",),
    (90, False): ("transpose=clock",),
    (90, True): ("transpose=cclock_flip",),
    (180, False): ("hflip", "vflip"),
    (180, True): ("vflip",),
    (270, False): ("transpose=cclock",),
    (270, True): ("transpose=clock_flip",),
}


@dataclass(frozen=True)
class Box:
    """The shape that a clip is brought to: the size of its pictures, and its first frames.

    crop: the picture covers the box, and what is outside is cut away. pad: it is whole in the box,
    between black bars. Sides are even.
    """

    width: int
    height: int
    frames: int
    fit: Literal["crop", "pad"] = "crop"


@dataclass(frozen=True)
class Target:
    """How a clip is encoded."""

    crf: int
    preset: str
    fps: Fraction | None = None  # None: the source's
    shorter: int | None = None  # pixels of the shorter side at most; None: the source's
    deinterlace: bool = True
    tone_map: bool = True
    box: Box | None = None  # instead of `shorter`
    # x, y, width and height of what is kept of the displayed picture, all even; None: all of it
    inside: tuple[int, int, int, int] | None = None

    def changes(self, width: int, height: int) -> bool:
        """Whether not all pictures of this size are written, or not as large as they are."""
        smaller = self.shorter is not None and self.shorter < min(width, height)
        cropped = self.inside not in (None, (0, 0, width, height))
        return smaller or cropped or self.fps is not None or self.box is not None


@dataclass(frozen=True)
class WrittenClip:
    """The measures of a written file. Width and height are in square pixels."""

    num_frames: int
    fps: float  # average
    width: int
    height: int
    file_size: int
    seconds: float


class Layout(NamedTuple):
    """How an upright picture is written: scaled, then brought to its size by steps of ffmpeg."""

    scaled: tuple[int, int]  # width and height
    size: tuple[int, int]
    steps: tuple[str, ...]


def layout(shape: Geometry, target: Target) -> Layout:
    """How pictures of a shape are written for a target; see `sizes` and `Box`."""
    if target.inside is None:
        return _layout(shape.size, target)
    x, y, *inner = target.inside
    scaled, size, steps = _layout((inner[0], inner[1]), target)
    factors = [Fraction(after, before) for after, before in zip(scaled, inner, strict=True)]
    width, height = (round(side * factor) for side, factor in zip(shape.size, factors, strict=True))
    left = min(round(x * factors[0] / 2) * 2, width - scaled[0])
    top = min(round(y * factors[1] / 2) * 2, height - scaled[1])
    crop = f"crop={scaled[0]}:{scaled[1]}:{left}:{top}:exact=1"
    return Layout((width, height), size, (crop, *steps))


def _layout(own: tuple[int, int], target: Target) -> Layout:
    """How upright pictures of this width and height are written."""
    box = target.box
    if box is None:
        scaled, size = sizes(own, target.shorter)
        return Layout(scaled, size, ("crop={}:{}:0:0:exact=1".format(*size), "format=yuv420p"))
    size = box.width, box.height
    factors = [Fraction(side, whole) for side, whole in zip(size, own, strict=True)]
    if box.fit == "crop":
        width, height = (
            max(side, round(whole * max(factors))) for side, whole in zip(size, own, strict=True)
        )
        # even places, between two samples of the colour
        x, y = (width - box.width) // 4 * 2, (height - box.height) // 4 * 2
        steps = (f"crop={box.width}:{box.height}:{x}:{y}:exact=1", "format=yuv420p")
        return Layout((width, height), size, steps)
    width, height = (
        min(side, max(2, 2 * round(whole * min(factors) / 2)))
        for side, whole in zip(size, own, strict=True)
    )
    x, y = (box.width - width) // 4 * 2, (box.height - height) // 4 * 2
    steps = ("format=yuv420p", f"pad={box.width}:{box.height}:{x}:{y}:color=black")
    return Layout((width, height), size, steps)


def sizes(own: tuple[int, int], shorter: int | None) -> tuple[tuple[int, int], tuple[int, int]]:
    """Width and height of the picture upright: as it is scaled, and as it is written.

    The written sides are even, and the shorter one is at most `shorter`, which is at least 2. No
    picture is larger than displayed, except that a side of one pixel becomes two.
    """
    width, height = (max(2, side) for side in own)
    if shorter is not None and shorter < min(own):
        other = max(2, 2 * round(max(width, height) * shorter / min(width, height) / 2))
        width, height = (shorter, other) if width <= height else (other, shorter)
    return (width, height), (width - width % 2, height - height % 2)


def resample(
    frames: Iterable[tuple[Fraction, T]], length: Fraction, fps: Fraction
) -> Iterator[tuple[Fraction, T]]:
    """Pairs of time and frame at a constant rate: at k / fps, the frame on the screen at that time.

    `frames` are pairs of time (seconds, increasing, the first at 0) and frame. Frames are left out
    or repeated to give ``max(1, round(length * fps))`` pairs.
    """
    planned = max(1, round(length * fps))
    k = 0
    on_screen: tuple[T] | None = None
    for seconds, frame in frames:
        while on_screen and k < planned and k / fps < seconds:
            yield k / fps, on_screen[0]
            k += 1
        on_screen = (frame,)
    while on_screen and k < planned:
        yield k / fps, on_screen[0]
        k += 1


class _Upright:
    """Converts decoded frames for the encoder; those that need no change pass through."""

    def __init__(self, shape: Geometry, target: Target) -> None:
        scaled, self._size, self._steps = layout(shape, target)
        self._scaled = scaled[::-1] if shape.sideways else scaled  # before the rotation
        self._tone_mapper = ToneMapper() if target.tone_map else None
        self._turns = _TURNS.get((shape.rotation, shape.mirrored), ())
        self._graphs: dict[tuple[int, int, str], Graph] = {}

    def __call__(self, frame: VideoFrame) -> VideoFrame:
        if self._tone_mapper is not None and frame.color_trc in HDR:
            frame = self._tone_mapper(frame, self._scaled)
        as_it_is = not self._turns and (frame.width, frame.height) == self._size == self._scaled
        if as_it_is and frame.format.name == "yuv420p":
            return frame
        key = (frame.width, frame.height, frame.format.name)
        if key not in self._graphs:
            same = (frame.width, frame.height) == self._scaled
            scale = [] if same else ["scale={}:{}:flags=bicubic+accurate_rnd".format(*self._scaled)]
            self._graphs[key] = chain(frame, [*scale, *self._turns, *self._steps])
        self._graphs[key].vpush(frame)
        return self._graphs[key].vpull()


class _Encoder:
    """One x264 stream in an open output, encoded by one thread."""

    def __init__(self, output: OutputContainer, span: Span, target: Target, rate: Fraction) -> None:
        tick = 1 / target.fps if target.fps else span.time_base
        if tick.denominator > _LARGEST_TIMESCALE:
            tick = Fraction(1, 90000)
        preset = _BALANCED if target.preset == "balanced" else {"preset": target.preset}
        options = preset | {"crf": str(target.crf), "threads": "1"}
        self._output = output
        self._tick = tick
        self._stream = output.add_stream("libx264", rate=rate, options=options)
        self._stream.pix_fmt = "yuv420p"
        self._stream.time_base = self._stream.codec_context.time_base = tick
        self.seconds = span.seconds
        self._ends: dict[int, int] = {}  # pts of a frame not yet muxed: pts of the one after it
        self._last: int | None = None
        self.count = 0
        self.size = (0, 0)

    def add(self, seconds: Fraction, frame: VideoFrame) -> None:
        """Encode a frame that is shown `seconds` after the first one."""
        pts = round(seconds / self._tick)
        if self._last is not None:
            self._ends[self._last] = pts
        else:
            context = self._stream.codec_context
            context.width, context.height = self.size = frame.width, frame.height
            context.sample_aspect_ratio = Fraction(1)
            context.colorspace, context.color_range = frame.colorspace, frame.color_range
            context.color_primaries, context.color_trc = frame.color_primaries, frame.color_trc
        self._last = pts
        frame.pts, frame.dts, frame.time_base = pts, None, self._tick
        frame.pict_type = PictureType.NONE  # or x264 would copy the source's choice of keyframes
        self.count += 1
        self._encode(frame)

    def finish(self) -> None:
        """Write what is left in the encoder."""
        if self._last is not None:
            self._ends[self._last] = max(round(self.seconds / self._tick), self._last + 1)
        self._encode(None)

    def _encode(self, frame: VideoFrame | None) -> None:
        with filled_memory():  # x264 is opened with the first frame
            packets: list[Any] = self._stream.encode(frame)
        for packet in packets:
            end = self._ends.pop(packet.pts, None)
            if end is not None:
                packet.duration = end - packet.pts
            self._output.mux(packet)


def mp4(path: Path) -> OutputContainer:
    """An mp4 to mux into, with its index in front of the pictures. Close it."""
    return av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"})


def encode_span(
    path: Location,
    frames: Iterable[VideoFrame],
    stream: VideoStream,
    span: Span,
    target: Target,
    sound: str | None = None,
) -> WrittenClip:
    """Write the frames of a span of a stream to `path`, which appears only when it is whole.

    `frames` are those of `curate.tasks.video.decode.decode`; their pts and pict_type are changed.
    `sound` is the source whose sound is kept, or None. Raises CutMismatch when there is no frame or
    the file does not hold the planned number, or that of the target's box; ServiceError when `path`
    is a URL that cannot be written to.
    """
    most = target.box.frames if target.box else None
    # the encoder uses the rate only for its rate control
    rate = target.fps or stream.average_rate or stream.guessed_rate or Fraction(25)
    if target.deinterlace:
        frames = deinterlaced(frames)
    with replacing(path) as temporary:
        with mp4(temporary) as output:
            encoder = _Encoder(output, span, target, rate)
            track = SoundTrack(output, sound, span) if sound is not None else None
            upright = None
            timed = _timed(frames, span, path)
            if target.fps is not None:
                timed = resample(timed, span.seconds, target.fps)
            for seconds, frame in timed:
                if encoder.count == most:
                    encoder.seconds = seconds  # the last frame is shown until then
                    break
                upright = upright or _Upright(geometry(stream, frame), target)
                encoder.add(seconds, upright(frame))
            if most and target.fps is not None:
                encoder.seconds = most / target.fps
            encoder.finish()
            if track is not None:
                track.write(encoder.seconds)
        with av.open(str(temporary)) as whole:  # each packet of it holds one picture
            shown = sum(1 for p in whole.demux(video=0) if p.size and not p.is_discard)
        if shown != (most or encoder.count):
            planned = most or encoder.count
            raise CutMismatch(path=to_text(str(path)), found=shown, planned=planned)
        fps, size = float(shown / encoder.seconds), temporary.stat().st_size
        return WrittenClip(shown, fps, *encoder.size, size, float(encoder.seconds))


def _timed(
    frames: Iterable[VideoFrame], span: Span, path: Location
) -> Iterator[tuple[Fraction, VideoFrame]]:
    """Frames with their seconds from the span's start.

    Raises CutMismatch at the end when there are not as many as planned.
    """
    count = 0
    for frame in frames:
        count += 1
        yield (cast(int, frame.pts) - span.start) * span.time_base, frame
    if not count or (span.frames is not None and count != span.frames):
        planned = span.frames or "at least one"
        raise CutMismatch(path=to_text(str(path)), found=count, planned=planned)
