"""Tells whether the packets of a span are a clip by themselves: its frames, all and no others."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice, pairwise
from typing import Any

from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from curate.tasks.video.copying import REORDERED
from curate.tasks.video.decode import decode_packets, open_media, packets_before, video_stream
from curate.tasks.video.encode import Target
from curate.tasks.video.geometry import geometry
from curate.tasks.video.h264 import (
    IDR_SLICE,
    PARAMETERS,
    PICTURE_PARAMETERS,
    SLICES,
    SequenceParameters,
    units,
)
from curate.tasks.video.span import Span
from curate.tasks.video.tone_mapping import HDR

_FORMATS = ("yuv420p", "yuvj420p")


def is_whole(source: str, span: Span, target: Target) -> bool:
    """Whether a copy of the span's packets shows just the frames that encoding for `target` would.

    It does where the span begins with an IDR picture of H.264, none of its frames refers to one
    behind its end, and pictures are what `curate.tasks.video.encode` would make of them: 8-bit
    4:2:0, progressive, upright, of square pixels, not HDR, not scaled. Only the first frame is
    decoded. Raises as `open_media` and `video_stream` do.
    """
    if span.access != "seek" or not span.frames:
        return False
    with open_media(source) as container:
        stream = video_stream(container)
        extradata = stream.codec_context.extradata or b""
        # parameters of an mp4 or mkv, which begin with a version, and of one sequence
        if stream.codec_context.codec.canonical_name != "h264" or extradata[:1] != b"\1":
            return False
        if len(extradata) < 9 or extradata[5] & 31 != 1:
            return False
        found = next(packets_before(container, stream, span.start, span.access), iter(()))
        filled = (p for p in found if p.size)
        packets: list[Any] = list(islice(filled, span.frames))
        if len(packets) < span.frames or not _is_closed(packets, span, extradata):
            return False
        behind = (p.pts for p in islice(filled, REORDERED))
        if any(pts is None or pts < span.end for pts in behind):
            return False
        frames = [*decode_packets(packets[:1]), *stream.codec_context.decode(None)]
        return len(frames) == 1 and _is_kept(stream, frames[0], target)


def _is_closed(packets: Sequence[Any], span: Span, extradata: bytes) -> bool:
    """Whether packets, in the order of decoding, are those of the span's frames and need no other,
    and players can tell in which order they are shown.
    """
    stamps = [packet.pts for packet in packets]
    if None in stamps or stamps[0] != span.start or max(stamps) >= span.end:
        return False
    if len(set(stamps)) < len(stamps) or any(p.is_discard or p.is_corrupt for p in packets):
        return False
    sequence = SequenceParameters.of(extradata[8:])
    if sequence is None or not sequence.frames_only:
        return False
    if not sequence.tells_order and any(a > b for a, b in pairwise(stamps)):
        return False
    length = (extradata[4] & 3) + 1
    kinds = [unit[0] & 31 for unit in units(bytes(packets[0]), length)]
    if any(kind in SLICES and kind != IDR_SLICE for kind in kinds) or IDR_SLICE not in kinds:
        return False
    return all(
        unit[0] & 31 not in (PARAMETERS, PICTURE_PARAMETERS) or bytes(unit) in extradata
        for packet in packets
        for unit in units(bytes(packet), length)
    )


def _is_kept(stream: VideoStream, frame: VideoFrame, target: Target) -> bool:
    """Whether pictures are written as they are stored."""
    shape = geometry(stream, frame)
    return (
        frame.format.name in _FORMATS
        and not frame.interlaced_frame
        and frame.color_trc not in HDR
        and shape.size == (frame.width, frame.height)
        and not (shape.rotation or shape.mirrored)
        and not (frame.width % 2 or frame.height % 2)
        and not target.changes(*shape.size)
    )
