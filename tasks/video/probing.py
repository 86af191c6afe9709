"""Reads the properties of a source, by one pass over its packets and its first frame."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from curate.configs.errors import NoFrames
from curate.tasks.video.colours import primaries_name, transfer_name
from curate.tasks.video.decode import (
    media_name,
    nominal_duration,
    open_file,
    open_media,
    packets,
    video_stream,
)
from curate.tasks.video.geometry import geometry
from curate.tasks.video.sound import sound_stream
from curate.tasks.video.still_images import read_image


@dataclass
class _Packets:
    """Time stamps of the packets of a stream, in units of its time base.

    Packets before the `first` frame, which an edit list hides, are not counted.
    """

    step: int  # duration of a packet that does not say its own
    first: int = 0
    end: int = 0
    count: int = 0
    keys: list[int] = field(default_factory=list)

    def add(self, pts: int | None, duration: int, is_keyframe: bool) -> None:
        """Count the next packet, unless it has no pts and so shows nothing."""
        if pts is None:
            return
        if is_keyframe:
            self.keys.append(pts)
        if pts >= self.first:
            end = pts + (duration or self.step)
            self.end = max(self.end, end) if self.count else end
            self.count += 1


def probe_video(path: str) -> dict[str, Any]:
    """The columns of `videos` for a video. Raises MediaError, NoFrames when no frame decodes.

    num_frames counts the packets that a player shows, damaged ones included, so a decoder may give
    fewer frames. duration is the time from the first frame to the end of the last, in seconds.
    """
    with open_media(path) as container:
        stream = video_stream(container)
        frame, stamps = _walk(container, stream)
        shape = geometry(stream, frame)
        width, height = shape.size
        ratio = shape.sample_aspect_ratio
        time_base = Fraction(stream.time_base or 1)
        seconds = (stamps.end - stamps.first) * time_base
        sound = sound_stream(container, stream)
        return {
            "media_type": "video", "width": width, "height": height,
            "aspect_ratio": height / width, "resolution": height * width,
            "duration": float(seconds), "num_frames": stamps.count,
            "fps": float(stamps.count / seconds) if seconds > 0 else None,
            "first_pts": stamps.first,
            "time_base_num": time_base.numerator, "time_base_den": time_base.denominator,
            "keyframes": json.dumps(sorted(stamps.keys)),
            "fps_guessed": float(stream.guessed_rate) if stream.guessed_rate else None,
            "rotation": shape.rotation, "mirrored": int(shape.mirrored),
            "sample_aspect_ratio": f"{ratio.numerator}:{ratio.denominator}",
            "stream_index": stream.index, "codec": stream.codec_context.codec.canonical_name,
            "pixel_format": frame.format.name, "interlaced_flag": int(frame.interlaced_frame),
            "transfer": transfer_name(frame), "primaries": primaries_name(frame),
            "audio": sound.codec_context.codec.canonical_name if sound else None,
            "size_bytes": _size_bytes(path),
        }  # fmt: skip


def _walk(container: InputContainer, stream: VideoStream) -> tuple[VideoFrame, _Packets]:
    """The first frame, and the time stamps of all packets. It decodes only up to that frame."""
    first: VideoFrame | None = None
    early: list[tuple[int | None, int, bool]] = []  # packets up to the first frame
    stamps = _Packets(nominal_duration(stream))
    for packet in packets(container, stream):
        pts = packet.pts if packet.pts is not None else packet.dts
        shows = packet.size and not packet.is_discard
        stamp = pts if shows else None, packet.duration or 0, packet.is_keyframe
        if first is not None:
            stamps.add(*stamp)
            continue
        early.append(stamp)
        with suppress(FFmpegError):
            first = next(iter(packet.decode()), None)
        if first is not None:
            stamps.first = first.pts or 0
            for stamp in early:
                stamps.add(*stamp)
    if first is None:
        raise NoFrames(path=media_name(container), why="every packet is damaged or missing")
    return first, stamps


def probe_image(path: str) -> dict[str, Any]:
    """The columns of `videos` for a still image. Raises MediaError when it is damaged."""
    image = read_image(path)
    height, width = image.pixels.shape[:2]
    return {
        "media_type": "image", "duration": None, "num_frames": 1, "fps": None, "fps_guessed": None,
        "width": width, "height": height, "aspect_ratio": height / width,
        "resolution": height * width, "rotation": image.rotation, "mirrored": int(image.mirrored),
        "sample_aspect_ratio": "1:1", "stream_index": None, "codec": image.codec,
        "pixel_format": image.pixel_format, "interlaced_flag": None, "transfer": None,
        "primaries": None, "audio": None, "first_pts": 0,
        "time_base_num": 1, "time_base_den": 1, "keyframes": "[0]", "size_bytes": _size_bytes(path),
    }  # fmt: skip


def _size_bytes(path: str) -> int:
    with open_file(path) as file:
        return file.seek(0, 2)
