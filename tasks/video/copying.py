"""Copies spans of a source into MP4 files without encoding: full quality at almost no cost.

A copy starts at the keyframe at or before the span's first frame; an edit list hides the pictures
before the span. What that means for the file:

- it is larger than necessary, by the packets between the keyframe and the span;
- players, ffmpeg, PyAV and OpenCV hide the lead; decord and frame counters that ignore edit lists
  do not;
- where the last frames refer to later ones (B-frames), these later ones are shown too, so the clip
  may be a few frames longer than planned, and these frames may belong to the next scene;
- rotation and pixel shape stay as tags of the file; pixels are as in the source.

For training that needs exact ends, encode the clips instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

from av.container import InputContainer
from av.video.stream import VideoStream

from curate.configs.errors import CannotCopy, CutMismatch
from curate.tasks.inputs.paths import to_text
from curate.tasks.storage.locations import Location, replacing
from curate.tasks.video.decode import SEEK_BACK, open_media, seek, video_stream
from curate.tasks.video.encode import WrittenClip, count_shown, mp4
from curate.tasks.video.sound import SoundTrack
from curate.tasks.video.span import Span

_REORDERED = 32  # packets; in no codec is a picture shown after more pictures decoded later


def copy_span(path: Location, source: str, span: Span, sound: bool) -> WrittenClip:
    """Copy the packets of a span of `source` to `path`, which appears only when it is whole.

    Returns what a player shows, so num_frames may exceed `span.frames` (see above). Raises
    CannotCopy when an mp4 cannot hold the codec or packets carry no time stamps, CutMismatch when
    frames are missing, ServiceError when `path` is a URL that cannot be written to.
    """
    with open_media(source) as container, replacing(path) as temporary:
        stream = video_stream(container)
        with mp4(temporary) as output:
            supported = cast(set[str], cast(Any, output).supported_codecs)
            codec = stream.codec_context.codec
            if codec.canonical_name not in supported:
                raise CannotCopy(path=source, why=f"an mp4 cannot hold {codec.canonical_name}")
            # PyAV finds no encoder by the name of a decoder that is a library, such as libdav1d
            foreign = codec.name != codec.canonical_name
            copied = output.add_stream_from_template(stream, opaque=foreign or None)
            track = SoundTrack(output, source, span) if sound else None
            packets = list(_needed(source, _from_keyframe(container, stream, span.start), span.end))
            shown = without_gap([p.pts for p in packets], span.end)
            for packet, pts, dts in zip(packets, shown, decoding_times(shown), strict=True):
                packet.pts, packet.dts = pts - span.start, dts - span.start
                if pts < span.end and packet.duration:  # the last frame may be cut off
                    packet.duration = min(packet.duration, span.end - pts)
                packet.stream = copied
                output.mux(packet)
            if track is not None:
                track.write()
        count = count_shown(temporary)
        if count < (span.frames or 1):
            planned = span.frames or "at least one"
            raise CutMismatch(path=to_text(str(path)), found=count, planned=planned)
        fps = float(count / span.seconds)
        size = stream.codec_context.width, stream.codec_context.height
        return WrittenClip(count, fps, *size, temporary.stat().st_size)


def _from_keyframe(container: InputContainer, stream: VideoStream, start: int) -> Iterator[Any]:
    """Packets from the last keyframe at or before `start` on, but none shown before it."""
    for back in SEEK_BACK:
        if not seek(container, stream, start, back):
            continue
        packets: Iterator[Any] = (p for p in container.demux(stream) if p.size)
        key = next((p for p in packets if p.is_keyframe and p.pts is not None), None)
        if key is None or (key.pts > start and back is not None):
            continue
        yield key
        yield from (p for p in packets if p.pts is None or p.pts > key.pts)
        return


def _needed(source: str, packets: Iterator[Any], end: int) -> Iterator[Any]:
    """Packets shown before `end`, and the later-shown ones stored between them."""
    later: list[Any] = []
    for packet in packets:
        if packet.pts is None:
            raise CannotCopy(path=source, why="its packets carry no time stamps")
        later.append(packet)
        if packet.pts < end:
            yield from later
            later.clear()
        elif len(later) > _REORDERED:
            return


def without_gap(pts: Sequence[int], end: int) -> list[int]:
    """Time stamps of packets, of which those at or after `end` come to follow it at once.

    Where the last frame of a span is cut off, a later one that it refers to may be shown much
    later.
    """
    gap = min((p for p in pts if p >= end), default=end) - end
    return [p - gap if p >= end else p for p in pts]


def decoding_times(pts: Sequence[int]) -> list[int]:
    """Increasing dts for packets in decoding order, none above its pts; Matroska stores no dts.

    The n-th dts is the n-th smallest pts minus the largest reordering delay.
    """
    ordered = sorted(pts)
    delay = max((shown - own for shown, own in zip(ordered, pts, strict=True)), default=0)
    return [shown - delay for shown in ordered]
