"""Opens a source and decodes it: frames in presentation order with the time stamps it stores.

All of curate reads pictures of a video through `open_media`, `video_stream` and `decode`, so split
and cut can never disagree on which frame is which.
"""

from __future__ import annotations

import itertools
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, TypeVar, cast

import av
from av.audio.stream import AudioStream
from av.codec.context import Flags
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from curate.configs.row_errors import (
    BadGeometry,
    EmptyFile,
    EmptyStream,
    MediaError,
    NoFrames,
    NotAFile,
    NotMedia,
    NoVideoStream,
    Unreadable,
)
from curate.tasks.inputs.paths import is_url, to_path, to_text
from curate.tasks.storage.remote import RemoteFile
from curate.tasks.video.clock import Clock
from curate.tasks.video.span import Access

MediaStreamT = TypeVar("MediaStreamT", VideoStream, AudioStream)

# Packets in a row that may fail before curate gives up on the rest of a damaged stream.
MAX_ERRORS = 1000
_HEAD = 12  # the first frames, which tell whether the container stores pts in decoding order

# A container must not make ffmpeg open anything else, as a playlist does.
OPTIONS = {"protocol_whitelist": "none"}

# Seconds to seek back before the target, one after the other until a seek hits.
_SEEK_BACK = (0.0, 2.0, 20.0)

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


# ---------------------------------------------------------------- opening


@contextmanager
def open_file(path: str) -> Iterator[BinaryIO]:
    """The bytes of a source: a local path as the database stores it, or a URL, through fsspec.

    Raises Unreadable, NotAFile (it never opens a pipe or device), EmptyFile, and ServiceError when
    the store of a URL does not answer or refuses this host. It may raise at the end of the with
    block too, since ffmpeg takes a failed read for the end of the file.
    """
    if is_url(path):
        with RemoteFile(path) as remote:
            try:
                yield cast(BinaryIO, remote)
            except Exception as error:
                if remote.failure is not None and error is not remote.failure:
                    raise remote.failure from error
                raise
            if remote.failure is not None:
                raise remote.failure
        return
    local = Path(to_path(path))
    try:
        status = local.stat()
        kind = stat.S_IFMT(status.st_mode)
        if kind != stat.S_IFREG:
            raise NotAFile(path=path, what=_KINDS.get(kind, "something else"))
        if not status.st_size:
            raise EmptyFile(path=path)
        file = local.open("rb")
    except OSError as error:
        why = (error.strerror or str(error) or type(error).__name__).lower()
        if isinstance(error, FileNotFoundError) and local.is_symlink():
            why = "it is a link to a file that is not there"
        raise Unreadable(path=path, why=why) from error
    with file:
        yield file


@contextmanager
def open_media(path: str) -> Iterator[InputContainer]:
    """The container of a local path or URL, closed at the end of the with block.

    ffmpeg reads from a Python file, so it takes no name for a protocol or pattern and opens nothing
    else. Raises what `open_file` raises, and NotMedia.
    """
    with open_file(path) as file:
        try:
            container = av.open(file, metadata_errors="replace", options=OPTIONS)
        except (FFmpegError, ValueError) as error:
            why = str(getattr(error, "strerror", None) or error).lower()
            raise NotMedia(path=path, why=why) from error
        with container:
            yield cast(InputContainer, container)


def media_name(container: InputContainer) -> str:
    """The name of the source as text, for messages."""
    return to_text(os.fsdecode(container.name))


def video_stream(container: InputContainer) -> VideoStream:
    """The stream that holds the video, set to one decoding thread; cover pictures never are.

    Of several it is the one that the container marks as default. Where none or more than one is
    marked, a stream of more than one frame comes first, then the largest picture, then most frames.

    Frame threads cost 1.2 to 1.7 times the CPU on H.264, and damaged files decode differently with
    them. Raises NoVideoStream, NotMedia (no decoder) and BadGeometry.
    """
    covers = Disposition.attached_pic | Disposition.timed_thumbnails
    streams = [s for s in container.streams.video if not s.disposition & covers]
    if not streams:
        kinds = {"cover picture" if s.type == "video" else str(s.type) for s in container.streams}
        found = ", ".join(sorted(kinds)) or "nothing"
        raise NoVideoStream(path=media_name(container), streams=found)
    stream = max(streams, key=_precedence) if len(streams) > 1 else streams[0]
    if stream.codec_context is None:
        raise NotMedia(path=media_name(container), why="no decoder for its video")
    if stream.width <= 0 or stream.height <= 0:
        path = media_name(container)
        if is_empty(container, stream):
            raise EmptyStream(path=path, codec=stream.codec_context.name)
        raise BadGeometry(path=path, width=stream.width, height=stream.height)
    stream.thread_count = 1
    return stream


def _precedence(stream: VideoStream) -> tuple[bool, bool, int, int]:
    """Greater for the stream that `video_stream` prefers, as far as the headers tell."""
    frames = stream.frames
    if not frames:
        seconds = (stream.duration or 0) * (stream.time_base or Fraction(0))
        # Matroska, where the duration may be that of the whole file
        tag = stream.metadata.get("DURATION", "").split(":")
        if len(tag) == 3:
            with suppress(ValueError):
                seconds = (int(tag[0]) * 60 + int(tag[1])) * 60 + Fraction(tag[2])
        frames = round(seconds * (stream.average_rate or 0))
    area = stream.width * stream.height if stream.codec_context is not None else 0
    return bool(stream.disposition & Disposition.default), frames != 1, area, frames


# ---------------------------------------------------------------- decoding


def decode(
    container: InputContainer,
    stream: VideoStream,
    *,
    start_pts: int | None = None,
    end_pts: int | None = None,
    access: Access = "seek",
    clock: Clock | None = None,
) -> Iterator[VideoFrame]:
    """Frames with ``start_pts <= pts < end_pts`` in presentation order, each that decodes.

    pts are in units of `stream.time_base` and strictly increase: they are those of `Clock`. They
    are the dts where the container stores pts in decoding order. Edit lists and start offsets are
    as ffmpeg presents them. With start_pts, which must be the pts of a frame, decoding starts at a
    keyframe at or before it, reached by `access`; without, `clock` learns of jumps. Damaged packets
    are skipped, up to MAX_ERRORS in a row. Raises NoFrames when nothing decodes, EmptyStream.
    """
    if start_pts is None:
        clock = clock or Clock.of(container, stream)
        frames = _presented(clock.continued(packets(container, stream)), clock)
    else:
        frames = _from(container, stream, start_pts, access)
    any_frame = False
    for frame in frames:
        any_frame = True
        if end_pts is not None and cast(int, frame.pts) >= end_pts:
            return
        yield frame
    if not any_frame and start_pts is None:
        raise no_frames(container, stream)
    if not any_frame:
        why = "none lies in this clip; the file is damaged there or was changed"
        raise NoFrames(path=media_name(container), why=why)


def no_frames(container: InputContainer, stream: VideoStream) -> MediaError:
    """The error of a stream of which not one frame decodes."""
    path = media_name(container)
    if is_empty(container, stream):
        return EmptyStream(path=path, codec=stream.codec_context.name)
    return NoFrames(path=path, why="every packet is damaged")


def is_empty(container: InputContainer, stream: VideoStream) -> bool:
    """Whether a stream has no packet with anything in it. It is read from the start."""
    return not any(packet.size for packet in packets_from_start(container, stream))


def packets(container: InputContainer, stream: MediaStreamT) -> Iterator[Packet[MediaStreamT]]:
    """All packets of a stream, with the empty one at the end that flushes the decoder.

    A demuxer error ends PyAV's generator but not the file, so reading goes on after it. So does a
    packet of a stream that begins behind the header, as sound may in a broadcast: PyAV does not
    know such streams.
    """
    errors = 0
    while errors < MAX_ERRORS:
        try:
            for packet in container.demux(stream):
                yield packet
                errors = 0
        except MemoryError:
            raise
        except FFmpegError:
            errors += 1
        except IndexError:
            continue
        else:
            return


def packets_from_start(
    container: InputContainer, stream: MediaStreamT
) -> Iterator[Packet[MediaStreamT]]:
    """All packets of a stream, whatever was read of it before.

    They are read from the source opened anew: not every file can be sought to its start.
    """
    with open_media(media_name(container)) as again:
        same = cast(MediaStreamT, again.streams[stream.index])
        if same.codec_context is not None:
            same.codec_context.thread_count = 1
        yield from packets(again, same)


def decode_packets(packets: Iterable[Packet[VideoStream]]) -> Iterator[VideoFrame]:
    """The decoded frames of the packets, without damaged packets.

    Behind damage, pictures are as the decoder conceals it; that of HEVC would leave out all that
    follow until the next keyframe, unless it is told to keep them once it has begun.
    """
    errors = 0
    any_frame = False
    for packet in packets:
        try:
            frames = packet.decode()
        except MemoryError:  # also an FFmpegError, but not damage
            raise
        except FFmpegError:
            errors += 1
            if errors >= MAX_ERRORS:
                return
        else:
            errors = 0
            if frames and not any_frame:
                any_frame = True
                context = packet.stream.codec_context
                if context.codec.canonical_name == "hevc":
                    context.flags |= Flags.output_corrupt
            yield from frames


def _presented(
    packets: Iterable[Packet[VideoStream]], clock: Clock, *, from_key: bool = False
) -> Iterator[VideoFrame]:
    """The frames of the packets, with pts as `decode` promises them.

    AVI and some MP4 writers store pts in decoding order: with B-frames, the decoder returns frames
    in presentation order while their pts go back and forth and their dts rise. The first frames
    show that, and dts then replace pts.

    With from_key, the packets begin somewhere in the stream. Those before the first keyframe with a
    time stamp are not decoded, and pictures stored behind it but shown before it (open GOP) are
    left out: they may refer to frames that were not decoded. There are none of a container that
    stores pts in decoding order, because its time stamps do not tell its position.
    """
    first = None  # pts before which frames are left out
    if from_key:
        packets = iter(packets)
        key = next((p for p in packets if p.is_keyframe and p.pts is not None), None)
        if key is None:
            return
        first = key.pts
        packets = itertools.chain([key], packets)
    frames = decode_packets(packets)
    head = list(itertools.islice(frames, _HEAD))
    pts_rise, dts_rise = (
        all(a is not None and b is not None and a < b for a, b in itertools.pairwise(stamps))
        for stamps in ([f.pts for f in head], [f.dts for f in head])
    )
    in_decoding_order = dts_rise and not pts_rise
    if in_decoding_order:
        if from_key:
            return
        clock.searchable = False
    moved = False  # whether all frames from some keyframe up to here have other times than stored
    for frame in itertools.chain(head, frames):
        pts = frame.dts if in_decoding_order else frame.pts
        if first is not None:
            if pts is None or pts < first:
                continue
            first = None
        rising = clock.rising(pts, frame.duration)
        if rising == frame.pts:
            moved = False
        else:
            frame.pts = rising
            clock.searchable = clock.searchable and not moved
            moved = moved or frame.key_frame
        yield frame


def _from(
    container: InputContainer, stream: VideoStream, start_pts: int, access: Access
) -> Iterator[VideoFrame]:
    """Frames from start_pts on: by the keyframe before it, or if that fails, from the start."""
    for found in packets_before(container, stream, start_pts, access):
        frames = _presented(found, Clock.of(container, stream), from_key=True)
        first = next((f for f in frames if cast(int, f.pts) >= start_pts), None)
        if first is not None and first.pts == start_pts:
            yield first
            yield from frames
            return
    clock = Clock.of(container, stream)
    frames = _presented(clock.continued(packets_from_start(container, stream)), clock)
    yield from (f for f in frames if cast(int, f.pts) >= start_pts)


# ---------------------------------------------------------------- positions


def packets_before(
    container: InputContainer, stream: VideoStream, pts: int, access: Access
) -> Iterator[Iterator[Packet[VideoStream]]]:
    """Ways of reading a stream from a keyframe at or before pts on: the packets of each.

    A seek may miss, so that the caller has to try the next one. None where access is "decode".
    """
    for back in _SEEK_BACK if access == "seek" else ():
        try:
            container.seek(pts - round(back / (stream.time_base or 1)), stream=stream)
        except FFmpegError:
            continue
        yield packets(container, stream)
    if access != "decode":
        yield _walked(container, stream, pts)


def _walked(
    container: InputContainer, stream: VideoStream, pts: int
) -> Iterator[Packet[VideoStream]]:
    """Packets from the last keyframe at or before pts on, by reading all before them."""
    skipped = 0
    clock = Clock.of(container, stream)
    for number, packet in enumerate(clock.continued(packets_from_start(container, stream))):
        if packet.is_keyframe and packet.pts is not None and packet.pts <= pts:
            skipped = number
        if packet.dts is not None and packet.dts > pts:
            break
    clock = Clock.of(container, stream)
    return itertools.islice(clock.continued(packets_from_start(container, stream)), skipped, None)
