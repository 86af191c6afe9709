"""The sound of a span of a source, as an AAC track that starts and ends with its pictures."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import cast

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Disposition
from av.video.stream import VideoStream
from numpy.typing import NDArray

from curate.tasks.video.clock import Clock, SoundClock
from curate.tasks.video.decode import open_media, packets, packets_from_start, video_stream
from curate.tasks.video.span import Span

RATE = 48000  # samples a second
_TOUCHING = RATE // 500  # samples: Matroska's time stamps are off by up to a millisecond
_LEAD = Fraction(1)  # seconds decoded before the span: a decoder needs some packets to start up


def sound_stream(container: InputContainer, video: VideoStream) -> AudioStream | None:
    """The sound of a video: of the tracks that can be decoded, the first that is marked as default.

    Where none is marked, the first. In a transport stream of several programs, the video's own
    tracks come first. None without any.
    """
    tracks = [s for s in container.streams.audio if s.codec_context is not None]
    tracks = [s for s in tracks if s.disposition & Disposition.default] or tracks
    best = container.streams.best
    own = [s for s in tracks if best("video", s) is video] if len(tracks) > 1 else []
    return next(iter(own or tracks), None)


class SoundTrack:
    """Adds a stereo track to an output, unless the source has no sound.

    Damaged packets become silence. Where the source's clock jumps, sound stays with the pictures
    that have the same time stamps; what has no such pictures is left out.
    """

    def __init__(self, output: OutputContainer, source: str, span: Span) -> None:
        self._output = output
        self._source = source
        self._span = span
        with open_media(source) as container:
            sound = sound_stream(container, video_stream(container))
        self._stream: AudioStream | None = None
        if sound is not None:
            self._stream = output.add_stream("aac", rate=RATE, layout="stereo")

    def write(self, seconds: Fraction) -> None:
        """Decode, trim and encode so many seconds of sound from the span's start."""
        if self._stream is None:
            return
        size = self._stream.codec_context.frame_size or 1024
        samples = _samples(self._source, self._span, seconds)
        for start in range(0, samples.shape[1], size):
            part = np.ascontiguousarray(samples[:, start : start + size])
            frame = AudioFrame.from_ndarray(part, "fltp", "stereo")
            frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
            self._output.mux(self._stream.encode(frame))
        self._output.mux(self._stream.encode(None))


def span_sound(source: str, span: Span) -> NDArray[np.float32] | None:
    """The sound of a span, 2 x samples from -1 to 1 at RATE; None where the source has none.

    Damaged packets, and times without sound, are silence. Raises MediaError.
    """
    with open_media(source) as container:
        if sound_stream(container, video_stream(container)) is None:
            return None
    return _samples(source, span, span.seconds)


def _samples(source: str, span: Span, seconds: Fraction) -> NDArray[np.float32]:
    """So many seconds of sound from the span's start, 2 x samples; silence where there is none."""
    length = round(seconds * RATE)
    samples = np.zeros((2, length), np.float32)
    begin = span.start * span.time_base
    end = 0  # of the frame before
    for frame in _frames(source, span, begin):
        offset = round((cast(int, frame.pts) * cast(Fraction, frame.time_base) - begin) * RATE)
        if abs(offset - end) <= _TOUCHING:
            offset = end
        end = offset + frame.samples
        if offset >= length:
            break
        part = frame.to_ndarray()[:, max(0, -offset) :][:, : length - max(0, offset)]
        samples[:, max(0, offset) : max(0, offset) + part.shape[1]] = part
    return samples


def _frames(source: str, span: Span, begin: Fraction) -> Iterator[AudioFrame]:
    """The source's sound, resampled, from about _LEAD before `begin` (seconds) on."""
    resampler = AudioResampler("fltp", "stereo", RATE)
    form: tuple[str, str, int] | None = None
    with open_media(source) as container:
        stream = cast(AudioStream, sound_stream(container, video_stream(container)))
        first = round((begin - _LEAD) / (stream.time_base or Fraction(1, RATE)))
        try:
            for packet in _packets(container, stream, first, span):
                try:
                    decoded = packet.decode()
                except FFmpegError:  # a damaged packet
                    continue
                for frame in decoded:
                    now = frame.format.name, frame.layout.name, frame.sample_rate
                    if form not in (None, now):  # broadcasts change between stereo and 5.1
                        resampler = AudioResampler("fltp", "stereo", RATE)
                    form = now
                    yield from (f for f in resampler.resample(frame) if f.pts is not None)
        except FFmpegError:  # the rest of the file cannot be read
            return


def _packets(
    container: InputContainer, stream: AudioStream, first: int, span: Span
) -> Iterator[Packet[AudioStream]]:
    """The packets of a sound track from the time stamp `first` on, or a little before it."""
    if span.access != "seek":
        for packet in _with_pictures(container, stream):
            if packet.pts is None or packet.pts >= first:
                yield packet
        return
    try:
        container.seek(first, stream=stream)
    except FFmpegError:  # before the first packet
        yield from packets_from_start(container, stream)
    else:
        yield from packets(container, stream)


def _with_pictures(container: InputContainer, stream: AudioStream) -> Iterator[Packet[AudioStream]]:
    """All packets of a sound track, with time stamps continued as those of the pictures are."""
    video = video_stream(container)
    pictures = Clock.of(container, video)
    for _ in pictures.continued(packets(container, video)):
        pass
    clock = SoundClock(pictures.jumps, pictures.time_base)
    base = stream.time_base or Fraction(1, RATE)
    for packet in packets_from_start(container, stream):
        if packet.pts is not None:
            seconds = clock.continued(packet.pts * base, packet.pos or 0)
            if seconds is None:
                continue
            packet.pts = round(seconds / base)
        yield packet
