"""What a source says about itself: one pass over its packets and its first frame."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from av.container import InputContainer
from av.video.stream import VideoStream

from curate.tasks.video.geometry import geometry
from curate.tasks.video.images import read_image
from curate.tasks.video.reader import decode, nominal_duration, open_file, open_media, packets, video_stream


@dataclass
class _Packets:
    """Time stamps of the packets of a stream, in units of its time base."""

    count: int = 0
    keys: list[int] = field(default_factory=list)
    first: int | None = None
    end: int | None = None

    def add(self, pts: int, duration: int, key: bool) -> None:
        self.count += 1
        self.first = pts if self.first is None else min(self.first, pts)
        self.end = max(self.end if self.end is not None else pts, pts + duration)
        if key:
            self.keys.append(pts)


def probe_video(path: str) -> dict[str, Any]:
    """The columns of `videos` for a video. Raises MediaError, NoFrames when its first frame cannot be decoded.

    Frames are counted as packets that a player shows; damaged ones are among them, so a decoder may give
    fewer. duration is the time from the first frame to the end of the last.
    """
    with open_media(path) as container:
        stream = video_stream(container)
        frame = next(decode(container, stream))
        shape = geometry(stream, frame)
        found = {
            "codec": stream.codec_context.name,
            "pixel_format": frame.format.name,
            "rotation": shape.rotation,
            "sample_aspect_ratio": f"{shape.sample_aspect_ratio.numerator}:{shape.sample_aspect_ratio.denominator}",
            "audio": next((s.codec_context.name for s in container.streams.audio if s.codec_context), None),
            "fps_guessed": _rate(stream.guessed_rate),
            **_size(*shape.size),
        }
        first = frame.pts or 0
    with open_media(path) as container:  # again, because seeking to the start is not exact everywhere
        stream = video_stream(container)
        found |= _timing(_scan(container, stream, first), stream, first)
    return {"media_type": "video", **found, "size_bytes": _size_bytes(path)}


def _size(width: int, height: int) -> dict[str, Any]:
    return {
        "width": width,
        "height": height,
        "aspect_ratio": height / width,
        "resolution": height * width,
    }


def _rate(rate: Fraction | None) -> float | None:
    return float(rate) if rate else None


def _scan(container: InputContainer, stream: VideoStream, first: int) -> _Packets:
    """Packets from the first shown frame on: an edit list hides those before it."""
    found = _Packets()
    step = nominal_duration(stream)
    for pts, duration, key in _stamps(container, stream):
        if pts >= first:
            found.add(pts, duration or step, key)
        elif key:
            found.keys.append(pts)
    return found


def _stamps(container: InputContainer, stream: VideoStream) -> Iterator[tuple[int, int, bool]]:
    for packet in packets(container, stream):
        pts = packet.pts if packet.pts is not None else packet.dts
        if pts is not None and packet.size and not packet.is_discard:
            yield pts, packet.duration or 0, packet.is_keyframe


def _timing(found: _Packets, stream: VideoStream, first: int) -> dict[str, Any]:
    time_base = Fraction(stream.time_base or 1)
    seconds = ((found.end or first) - first) * time_base
    return {
        "duration": float(seconds),
        "num_frames": found.count,
        "fps": float(found.count / seconds) if seconds > 0 else None,
        "first_pts": first,
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


