"""Which of several sound tracks is a video's own; whole tracks are in test_cut.py."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

from curate.tasks.video.decode import open_media, video_stream
from curate.tasks.video.sound import SoundTrack, sound_stream, span_sound
from curate.tasks.video.span import Span
from tests.media import picture

SPAN = Span(0, 400, Fraction(1, 1000))


def write(path: Path, *tracks: tuple[float, bool]) -> Path:
    """Half a second of pictures with sound tracks of this loudness, each marked as default or not.

    The pictures come last.
    """
    with av.open(str(path), "w") as output:
        streams = []
        for _, default in tracks:
            audio = output.add_stream("mp2", rate=44100, layout="stereo", format="s16")
            audio.disposition = Disposition.default if default else Disposition(0)
            streams.append(audio)
        video = output.add_stream("mpeg2video", rate=24, width=160, height=96)
        packets = []
        for i in range(12):
            frame = av.VideoFrame.from_ndarray(picture(i), "rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = i, Fraction(1, 24)
            packets += video.encode(frame)
        packets += video.encode(None)
        for (loudness, _), audio in zip(tracks, streams, strict=True):
            wave = np.sin(np.arange(22050) / 20) * loudness * 32767
            for start in range(0, 22050, 1152):
                part = wave[start : start + 1152].astype(np.int16).repeat(2)[None]
                sound = av.AudioFrame.from_ndarray(part, "s16", "stereo")
                sound.sample_rate, sound.pts, sound.time_base = 44100, start, Fraction(1, 44100)
                packets += audio.encode(sound)
            packets += audio.encode(None)
        output.mux(sorted(packets, key=lambda p: (p.dts or 0) * (p.time_base or 0)))
    return path


@pytest.mark.parametrize(
    ("name", "defaults", "chosen"),
    [
        ("a.mkv", (False, True), 1),
        ("a.mkv", (True, False), 0),
        ("a.mkv", (False, False), 0),
        ("a.mkv", (True, True), 0),
        ("a.mp4", (False, True), 1),
        ("a.ts", (False, False), 0),
    ],
)
def test_the_default_track_is_taken_or_the_first(
    tmp_path: Path, name: str, defaults: tuple[bool, bool], chosen: int
) -> None:
    path = write(tmp_path / name, *((0.5, default) for default in defaults))
    with open_media(str(path)) as container:
        sound = sound_stream(container, video_stream(container))
        assert sound is not None and sound.index == chosen


def test_a_video_without_sound_has_none(tmp_path: Path) -> None:
    with open_media(str(write(tmp_path / "a.mkv"))) as container:
        assert sound_stream(container, video_stream(container)) is None


def test_the_default_track_is_heard_in_a_clip(tmp_path: Path) -> None:
    source = write(tmp_path / "a.mkv", (0.0, False), (0.5, True))
    with av.open(str(tmp_path / "clip.mp4"), "w") as output:
        SoundTrack(output, str(source), SPAN).write(SPAN.seconds)
    with av.open(str(tmp_path / "clip.mp4")) as container:
        heard = np.concatenate([f.to_ndarray() for f in container.decode(audio=0)], axis=1)
    assert np.abs(heard).max() == pytest.approx(0.5, abs=0.1)


def test_a_tone_of_matroska_stays_whole(tmp_path: Path) -> None:
    """Its time stamps are whole milliseconds, and sound placed by them has a click a packet."""
    source = write(tmp_path / "a.mkv", (0.5, True))
    with av.open(str(tmp_path / "clip.mp4"), "w") as output:
        SoundTrack(output, str(source), SPAN).write(SPAN.seconds)
    with av.open(str(tmp_path / "clip.mp4")) as container:
        heard = np.concatenate([f.to_ndarray() for f in container.decode(audio=0)], axis=1)
    spectrum = np.abs(np.fft.rfft(heard[0, 2000:16000] * np.hanning(14000))) ** 2
    peak = int(spectrum.argmax())
    assert spectrum[peak - 5 : peak + 6].sum() > 0.999 * spectrum.sum()


@pytest.mark.parametrize("layouts", [("mono", "stereo"), ("stereo", "mono")])
def test_sound_whose_channels_change_is_heard_to_the_end(
    tmp_path: Path, layouts: tuple[str, str]
) -> None:
    """As between the news and the film of a broadcast."""
    coded = b""
    for layout in layouts:
        with av.open(str(tmp_path / "part.mp2"), "w") as output:
            audio = output.add_stream("mp2", rate=48000, layout=layout)
            part = (np.sin(np.arange(9600) / 8) * 16000).astype(np.int16)
            channels = part[None] if layout == "mono" else part.repeat(2)[None]
            for start in range(0, channels.shape[1], 1152 * (1 + (layout == "stereo"))):
                size = 1152 * (1 + (layout == "stereo"))
                whole = np.ascontiguousarray(channels[:, start : start + size])
                frame = av.AudioFrame.from_ndarray(whole, "s16", layout)
                frame.sample_rate = 48000
                output.mux(audio.encode(frame))
            output.mux(audio.encode(None))
        coded += (tmp_path / "part.mp2").read_bytes()
    (tmp_path / "both.mp2").write_bytes(coded)
    with (
        av.open(str(write(tmp_path / "pictures.mkv"))) as pictures,
        av.open(str(tmp_path / "both.mp2")) as sound,
        av.open(str(tmp_path / "a.ts"), "w") as output,
    ):
        inputs = pictures.streams.video[0], sound.streams.audio[0]
        outputs = [output.add_stream_from_template(stream) for stream in inputs]
        packets = []
        for container, stream in zip((pictures, sound), outputs, strict=True):
            for packet in container.demux():
                if packet.dts is not None:
                    packet.stream = stream
                    packets.append(packet)
        output.mux(sorted(packets, key=lambda p: (p.dts or 0) * (p.time_base or 0)))
    with open_media(str(tmp_path / "a.ts")) as container:
        video = video_stream(container)
        start, base = video.start_time or 0, video.time_base or Fraction(1, 90000)
    span = Span(start, start + round(Fraction(2, 5) / base), base)
    heard = span_sound(str(tmp_path / "a.ts"), span)
    assert heard is not None
    assert all(np.abs(part).max() > 0.2 for part in np.array_split(heard, 8, axis=1)[:7])
