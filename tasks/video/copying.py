"""Copies spans of a source into MP4 files without encoding: full quality at almost no cost.

A copy starts at the keyframe at or before the span's first frame; an edit list hides the pictures
before the span. What that means for the file:

- it is larger than necessary, by the packets between the keyframe and the span;
- players, ffmpeg, PyAV and OpenCV hide the lead; decord and frame counters that ignore edit lists
  do not;
- where the last frames refer to later ones (B-frames), these later ones are shown too, so the clip
  may be a few frames longer than planned, and these frames may belong to the next scene;
- damage of the source stays in it as it is, and each player conceals it in its own way;
- rotation and pixel shape stay as tags of the file; pixels are as in the source.

For training that needs exact ends, encode the clips instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.stream import VideoStream

from curate.configs.row_errors import CannotCopy, CutMismatch
from curate.tasks.inputs.paths import to_text
from curate.tasks.storage.locations import Location, replacing
from curate.tasks.video.clock import Clock
from curate.tasks.video.decode import (
    decode_packets,
    media_name,
    open_media,
    packets_before,
    video_stream,
)
from curate.tasks.video.encode import WrittenClip, mp4
from curate.tasks.video.shown import Shown
from curate.tasks.video.sound import SoundTrack
from curate.tasks.video.span import Span

_NO_TIMES = "its packets carry no time stamps, equal ones or some in the wrong order"
REORDERED = 32  # packets; in no codec is a picture shown after more pictures decoded later


def copy_span(path: Location, source: str, span: Span, sound: bool) -> WrittenClip:
    """Copy the packets of a span of `source` to `path`, which appears only when it is whole.

    Returns what a player shows, so num_frames may exceed `span.frames` (see above); where it does,
    the file is decoded once to count them, else only its first picture. Raises CannotCopy when an
    mp4 cannot hold the codec or packets do not carry the times of their frames, CutMismatch when
    frames are missing, ServiceError when `path` is a URL that cannot be written to.
    """
    with open_media(source) as container, replacing(path) as temporary:
        stream = video_stream(container)
        packets = list(
            _needed(source, Shown(stream), _from_keyframe(container, stream, span), span.end)
        )
        stamps = presentation_times([packet.pts for packet in packets])
        if stamps and stamps[0] < span.start < min([*stamps[1:], span.end]):
            stamps[0] = span.start  # its pts is that of the frame before it, which is not copied
        if span.start not in stamps:
            raise CutMismatch(path=to_text(str(path)), found=0, planned=span.frames or 1)
        with mp4(temporary) as output:
            supported = cast(set[str], cast(Any, output).supported_codecs)
            codec = stream.codec_context.codec
            if codec.canonical_name not in supported:
                raise CannotCopy(path=source, why=f"an mp4 cannot hold {codec.canonical_name}")
            copied, size = _add_stream(output, stream, packets[0])
            track = SoundTrack(output, source, span) if sound else None
            shown = without_gap(stamps, span.end)
            for packet, pts, dts in zip(packets, shown, decoding_times(shown), strict=True):
                packet.pts, packet.dts = pts - span.start, dts - span.start
                if pts < span.end and packet.duration:  # the last frame may be cut off
                    packet.duration = min(packet.duration, span.end - pts)
                packet.stream = copied
                output.mux(packet)
            if track is not None:
                track.write(span.seconds)
        count = count_shown(temporary)
        with av.open(str(temporary)) as written:
            pictures = decode_packets(written.demux(video_stream(written)))
            if next(pictures, None) is None:
                count = 0
            elif count != span.frames:  # later ones are shown too, or some of them do not decode
                count = 1 + sum(1 for _ in pictures)
        if count < (span.frames or 1):
            planned = span.frames or "at least one"
            raise CutMismatch(path=to_text(str(path)), found=count, planned=planned)
        fps = float(count / span.seconds)
        return WrittenClip(count, fps, *size, temporary.stat().st_size, float(span.seconds))


def count_shown(path: Path) -> int:
    """How many pictures a player shows: without those that an edit list hides."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        shown = Shown(stream)
        packets = container.demux(stream)
        return sum(1 for p in packets if not shown.completes(p) and shown.has_picture(p))


def _from_keyframe(container: InputContainer, stream: VideoStream, span: Span) -> Iterator[Any]:
    """Packets from the last keyframe at or before the span on, but none shown before it."""
    if span.access == "decode":
        raise CannotCopy(path=media_name(container), why=_NO_TIMES)
    for found in packets_before(container, stream, span.start, span.access):
        packets: Iterator[Any] = (p for p in found if p.size)
        key = next((p for p in packets if p.is_keyframe), None)
        if key is not None and (key.pts is None or key.pts <= span.start):
            yield key
            yield from (p for p in packets if p.pts is None or p.pts >= key.pts)
            return


def _needed(source: str, shown: Shown, packets: Iterator[Any], end: int) -> Iterator[Any]:
    """Packets shown before `end`, and the later-shown ones stored between them.

    A second field without a time stamp, as broadcasts have it, is shown half a frame later.
    """
    later: list[Any] = []
    last: int | None = None
    for packet in packets:
        is_second = shown.completes(packet)
        if packet.pts is None and is_second and last is not None:
            packet.pts = last + max(1, (packet.duration or 2) // 2)
        last = packet.pts
        if packet.pts is None:
            raise CannotCopy(path=source, why=_NO_TIMES)
        later.append(packet)
        if packet.pts < end or (is_second and later == [packet]):
            yield from later
            later.clear()
        elif len(later) > REORDERED:
            return


def _add_stream(
    output: OutputContainer, stream: VideoStream, key: Packet[VideoStream]
) -> tuple[VideoStream, tuple[int, int]]:
    """The stream to copy to, and the size of its stored pictures, which begin with `key`.

    A stream that repeats its parameters before keyframes, such as a transport stream, may have
    changed its size since its beginning.
    """
    context = stream.codec_context
    size = first_size = context.width, context.height
    if (context.extradata or b"\0")[0] == 0:  # those of an mp4 or mkv begin with a version, 1
        with suppress(FFmpegError):
            decoded = [*key.decode(), *context.decode(None)]
            size = next(((f.width, f.height) for f in decoded), size)
    codec = context.codec.canonical_name
    if size != first_size and codec != "vp9":  # in an mp4 that describes its pixels itself
        shape = {"width": size[0], "height": size[1], "time_base": stream.time_base}
        return cast(VideoStream, output.add_mux_stream(codec, stream.average_rate, **shape)), size
    # PyAV finds no encoder by the name of a decoder that is a library, such as libdav1d
    copied = output.add_stream_from_template(stream, opaque=context.codec.name != codec or None)
    if size != first_size:
        copied.width, copied.height = size
    return copied, size


def presentation_times(pts: Sequence[int]) -> list[int]:
    """The pts of packets in decoding order, with those that are equal one apart, as `decode` has
    them.
    """
    clock = Clock(1, Fraction(1))
    order = sorted(range(len(pts)), key=lambda i: pts[i])
    rising = {i: clock.rising(pts[i]) for i in order}
    return [rising[i] for i in range(len(pts))]


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
