"""Reads the properties of a source, by one pass over its packets and its first frame."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain, islice
from typing import Any, BinaryIO, NamedTuple, cast

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from curate.configs.row_errors import OtherCodec, OtherStream
from curate.tasks.video.clock import Clock, believable
from curate.tasks.video.colours import PRIMARIES, TRANSFERS, tag_name
from curate.tasks.video.decode import (
    OPTIONS,
    no_frames,
    open_file,
    open_media,
    packets,
    video_stream,
)
from curate.tasks.video.geometry import geometry
from curate.tasks.video.shown import Shown
from curate.tasks.video.sound import sound_stream
from curate.tasks.video.still_images import read_image

_HEAD = 8  # packets that tell whether the first one is shown first
_REORDERING = ("h264", "hevc")  # decoders that wait for further packets
_REST = 4096  # bytes behind the last packet of a stream, below which no other pictures are


class _Stamp(NamedTuple):
    """What is counted of a packet; kept instead of it, because damage may hide all first frames."""

    pts: int | None
    duration: int
    shows: bool
    is_keyframe: bool
    is_second: bool  # the second field of the picture before


@dataclass
class _Packets:
    """Time stamps of the packets of a stream, in units of its time base.

    Packets before the `first` frame, which an edit list hides, are not counted.
    """

    step: int  # duration of a packet that does not say its own
    first: int | None = None  # None: the stream has no time stamps
    end: int = 0
    count: int = 0
    keys: list[int] = field(default_factory=list)
    any_second: bool = False
    place: int = 0  # behind the last one in the file, in bytes, or a little before that
    _last: int = 0  # pts of the last one that was counted
    _latest: int = 0  # the greatest of them

    def add(self, stamp: _Stamp) -> None:
        """Count the next packet, if it shows a picture."""
        pts = self.end if self.first is None else stamp.pts
        self.any_second = self.any_second or stamp.is_second
        if pts is None or not stamp.shows:  # without pts: half of a picture, or damage
            return
        if stamp.is_second:
            if self.count and self.first is not None:  # each is shown for as long as the other
                self.end = max(self.end, 2 * pts - self._last)
            return
        if stamp.is_keyframe:
            self.keys.append(pts)
        if pts >= (self.first or 0):
            # the others are shown until the next one; what they say of their duration may be the
            # time to the next packet, which with B-frames is another
            if not self.count or pts >= self._latest:
                self._latest = pts
                self.end = pts + believable(stamp.duration, self.step)
            self._last = pts
            self.count += 1


def probe_video(path: str) -> dict[str, Any]:
    """The columns of `videos` for a video. Raises MediaError, NoFrames when no frame decodes.

    num_frames counts the packets that a player shows, damaged ones included, so a decoder may give
    fewer frames. duration is the time from the first frame to the end of the last, in seconds.
    """
    with open_media(path) as container:
        stream = video_stream(container)
        frame, stamps = _walk(container, stream)
        if container.format.name == "mpegts" and _goes_on_elsewhere(container, path, stamps.place):
            raise OtherStream(path=path, place=stamps.place)
        shape = geometry(stream, frame)
        width, height = shape.size
        ratio = shape.sample_aspect_ratio
        time_base = Fraction(stream.time_base or 1)
        first = stamps.first or 0
        seconds = (stamps.end - first) * time_base
        sound = sound_stream(container, stream)
        return {
            "media_type": "video", "width": width, "height": height,
            "aspect_ratio": height / width, "resolution": height * width,
            "duration": float(seconds), "num_frames": stamps.count,
            "fps": float(stamps.count / seconds) if seconds > 0 else None,
            "first_pts": first,
            "time_base_num": time_base.numerator, "time_base_den": time_base.denominator,
            "keyframes": json.dumps(sorted(stamps.keys)),
            "fps_guessed": float(stream.guessed_rate) if stream.guessed_rate else None,
            "rotation": shape.rotation, "mirrored": int(shape.mirrored),
            "sample_aspect_ratio": f"{ratio.numerator}:{ratio.denominator}",
            "stream_index": stream.index, "codec": stream.codec_context.codec.canonical_name,
            "pixel_format": frame.format.name,
            "interlaced_flag": int(frame.interlaced_frame or stamps.any_second),
            "transfer": tag_name(frame.color_trc, TRANSFERS),
            "primaries": tag_name(frame.color_primaries, PRIMARIES),
            "audio": sound.codec_context.codec.canonical_name if sound else None,
            "size_bytes": container.size,
        }  # fmt: skip


def _walk(container: InputContainer, stream: VideoStream) -> tuple[VideoFrame, _Packets]:
    """The first frame, and the time stamps of all packets. It decodes only up to that frame."""
    clock = Clock.of(container, stream)
    found = clock.continued(packets(container, stream))
    head = list(islice(found, _HEAD))
    first = first_alone(stream, head)
    early: list[_Stamp] = []  # of packets up to the first frame
    stamps = _Packets(clock.step, None if first is None else first.pts)
    shown = Shown(stream)
    for packet in chain(head, found):
        if packet.pos is not None:
            stamps.place = packet.pos + packet.size
        pts = packet.pts if packet.pts is not None else packet.dts
        shows, second = shown.has_picture(packet), shown.completes(packet)
        stamp = _Stamp(pts, packet.duration or 0, shows, packet.is_keyframe, second)
        if first is not None:
            stamps.add(stamp)
            continue
        early.append(stamp)
        with suppress(FFmpegError):
            first = next(iter(packet.decode()), None)
        if first is not None:
            stamps.first = first.pts
            for stamp in early:
                stamps.add(stamp)
    if first is None:
        raise no_frames(container, stream)
    return first, stamps


def first_alone(stream: VideoStream, head: list[Packet[VideoStream]]) -> VideoFrame | None:
    """The first frame where the first packet alone holds it; None where more are to be decoded.

    A decoder gives it only behind some further packets, unless it is told that there are none.
    """
    context = stream.codec_context
    stamps = [packet.pts for packet in head if packet.size]
    rising = all(stamp is not None and stamp > cast(int, stamps[0]) for stamp in stamps[1:])
    if context.codec.canonical_name not in _REORDERING or len(stamps) < _HEAD or not rising:
        return None
    first = None
    if head[0].is_keyframe and head[0].pts is not None:
        with suppress(FFmpegError):
            first = next(iter([*context.decode(head[0]), *context.decode(None)]), None)
    context.flush_buffers()
    return first if first is not None and first.pts == head[0].pts else None


def _goes_on_elsewhere(container: InputContainer, path: str, place: int) -> bool:
    """Whether behind a place in a transport stream, in bytes, there are pictures of streams that
    its beginning does not tell of.
    """
    if container.size < place + _REST:
        return False
    known = {stream.id for stream in container.streams}
    return not known.issuperset(_codecs_behind(path, place))


def refuse_other_codec(path: str) -> None:
    """Raise OtherCodec where a transport stream goes on with pictures of another codec.

    It reads the file's packets and opens it again at each jump of its clock and at its last
    keyframe: for files of which many frames do not decode.
    """
    with open_media(path) as container:
        if container.format.name != "mpegts":
            return
        stream = video_stream(container)
        stream_id, before = stream.id, stream.codec_context.codec.canonical_name
        clock = Clock.of(container, stream)
        last_key = 0
        for packet in clock.continued(packets(container, stream)):
            if packet.is_keyframe and packet.pos is not None:
                last_key = packet.pos
    for place in sorted({*(jump.place for jump in clock.jumps), last_key}):
        codec = _codecs_behind(path, place).get(stream_id) or before
        if codec != before:
            raise OtherCodec(path=path, place=place, codec=codec, before=before)


def _codecs_behind(path: str, place: int) -> dict[int, str]:
    """The codecs of the video streams of a transport stream behind a place, in bytes, by the ids
    of the streams; '' for one that there is no decoder for.
    """
    with suppress(FFmpegError, ValueError), open_file(path) as file:
        source = cast(Any, _Rest(file, place))
        with av.open(source, format="mpegts", options=OPTIONS) as rest:
            contexts = {s.id: s.codec_context for s in rest.streams.video}
            return {i: c.codec.canonical_name if c else "" for i, c in contexts.items()}
    return {}


class _Rest:
    """A file without its beginning, as PyAV reads it."""

    def __init__(self, file: BinaryIO, start: int) -> None:
        self._file = file
        self._start = start
        file.seek(start)

    def read(self, size: int) -> bytes:
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset + (0 if whence else self._start), whence) - self._start

    def tell(self) -> int:
        return self._file.tell() - self._start


def probe_image(path: str) -> dict[str, Any]:
    """The columns of `videos` for a still image. Raises MediaError when it is damaged."""
    image = read_image(path)
    with open_file(path) as file:
        size = file.seek(0, 2)
    height, width = image.pixels.shape[:2]
    return {
        "media_type": "image", "duration": None, "num_frames": 1, "fps": None, "fps_guessed": None,
        "width": width, "height": height, "aspect_ratio": height / width,
        "resolution": height * width, "rotation": image.rotation, "mirrored": int(image.mirrored),
        "sample_aspect_ratio": "1:1", "stream_index": None, "codec": image.codec,
        "pixel_format": image.pixel_format, "interlaced_flag": None, "transfer": None,
        "primaries": None, "audio": None, "first_pts": 0,
        "time_base_num": 1, "time_base_den": 1, "keyframes": "[0]", "size_bytes": size,
    }  # fmt: skip
