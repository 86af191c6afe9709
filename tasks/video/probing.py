"""What a source says about itself: one pass over its packets and its first frame."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from curate.configs.errors import NoFrames
from curate.tasks.video.decode import (
    media_name,
    nominal_duration,
    open_file,
    open_media,
    packets,
    video_stream,
)
from curate.tasks.video.geometry import geometry
from curate.tasks.video.images import read_image

_Stamp = tuple[int | None, int, bool]  # pts, duration, whether a keyframe


@dataclass
class _Packets:
    """Time stamps of the packets of a stream, in units of its time base.

    An edit list hides packets before the `first` shown frame: they are not counted.
    """

    step: int  # duration of a packet that does not say its own
    first: int = 0
    end: int = 0
    count: int = 0
    keys: list[int] = field(default_factory=list)

    def add(self, stamp: _Stamp) -> None:
        """Take the next packet."""
        pts, duration, key = stamp
        if pts is None:
            return
        if key:
            self.keys.append(pts)
        if pts >= self.first:
            end = pts + (duration or self.step)
            self.end = max(self.end, end) if self.count else end
            self.count += 1


def probe_video(path: str) -> dict[str, Any]:
    """The columns of `videos` for a video. Raises MediaError, NoFrames when no frame can be
    decoded.

    Frames are counted as packets that a player shows; damaged ones are among them, so a decoder may
    give fewer. duration is the time from the first frame to the end of the last.
    """
    with open_media(path) as container:
        stream = video_stream(container)
        frame, found = _walk(container, stream)
        shape = geometry(stream, frame)
        ratio = shape.sample_aspect_ratio
        return {
            "media_type": "video",
            **_size(*shape.size),
            **_timing(found, stream),
            "fps_guessed": float(stream.guessed_rate) if stream.guessed_rate else None,
            "rotation": shape.rotation,
            "sample_aspect_ratio": f"{ratio.numerator}:{ratio.denominator}",
            "codec": stream.codec_context.name,
            "pixel_format": frame.format.name,
            "audio": next(
                (s.codec_context.name for s in container.streams.audio if s.codec_context), None
            ),
            "size_bytes": _size_bytes(path),
        }


def _size(width: int, height: int) -> dict[str, Any]:
    return {
        "width": width,
        "height": height,
        "aspect_ratio": height / width,
        "resolution": height * width,
    }


def _walk(container: InputContainer, stream: VideoStream) -> tuple[VideoFrame, _Packets]:
    """The first frame, and the time stamps of all packets. Decodes no more than the first frame
    needs.
    """
    first: VideoFrame | None = None
    early: list[_Stamp] = []
    found = _Packets(nominal_duration(stream))
    for packet in packets(container, stream):
        stamp = _stamp(packet)
        if first is not None:
            found.add(stamp)
            continue
        early.append(stamp)
        first = _decoded(packet)
        if first is not None:
            found.first = first.pts or 0
            for each in early:
                found.add(each)
    if first is None:
        raise NoFrames(path=media_name(container), why="every packet is damaged or missing")
    return first, found


def _decoded(packet: Packet[VideoStream]) -> VideoFrame | None:
    try:
        return next(iter(packet.decode()), None)
    except FFmpegError:
        return None


def _stamp(packet: Packet[VideoStream]) -> _Stamp:
    """pts, duration and whether it is a keyframe; no pts where nothing is shown."""
    shown = packet.size and not packet.is_discard
    pts = packet.pts if packet.pts is not None else packet.dts
    return pts if shown else None, packet.duration or 0, packet.is_keyframe


def _timing(found: _Packets, stream: VideoStream) -> dict[str, Any]:
    time_base = Fraction(stream.time_base or 1)
    seconds = (found.end - found.first) * time_base
    return {
        "duration": float(seconds),
        "num_frames": found.count,
        "fps": float(found.count / seconds) if seconds > 0 else None,
        "first_pts": found.first,
        "time_base_num": time_base.numerator,
        "time_base_den": time_base.denominator,
        "keyframes": json.dumps(sorted(found.keys)),
    }


def probe_image(path: str) -> dict[str, Any]:
    """The columns of `videos` for a still image. Raises MediaError when it is damaged."""
    image = read_image(path)
    height, width = image.pixels.shape[:2]
    return {
        "media_type": "image", "duration": None, "num_frames": 1, "fps": None, "fps_guessed": None,
        **_size(width, height), "rotation": image.rotation, "sample_aspect_ratio": "1:1", "codec": image.codec,
        "pixel_format": image.pixel_format, "audio": None, "first_pts": 0, "time_base_num": 1, "time_base_den": 1,
        "keyframes": "[0]", "size_bytes": _size_bytes(path),
    }  # fmt: skip


def _size_bytes(path: str) -> int:
    with open_file(path) as file:
        return file.seek(0, 2)
