"""Measures of sound by ffmpeg's filters."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import cast

import numpy as np
from av.audio.frame import AudioFrame
from av.filter import Graph
from numpy.typing import NDArray

from curate.tasks.video.sound import RATE, span_sound

__all__ = ["loudness", "silence", "span_sound"]

Sound = NDArray[np.float32]  # 2 x samples, -1 to 1, 48 kHz

_LEAST = -69.95  # LUFS; ffmpeg says -70 where nothing is loud enough to be measured


def loudness(sound: Sound) -> float | None:
    """Integrated loudness, LUFS, of EBU R128; None where nothing is louder than -70."""
    found = None
    for told in _told(sound, "ebur128=metadata=1", RATE):
        found = told.get("lavfi.r128.I", found)
    return float(found) if found is not None and _LEAST < float(found) < 100 else None


def silence(sound: Sound) -> float | None:
    """Share of the time in stretches of 0.5 s and more under -50 dB; None without any samples."""
    length = sound.shape[1] / RATE
    if not length:
        return None
    # where all is shorter than a stretch, a shorter one will do
    duration = min(0.5, length / 2)
    total, start = 0.0, None
    # in parts no longer than a stretch: one has room for one value of each kind
    part = max(1, int(duration * RATE))
    for told in _told(sound, f"silencedetect=noise=-50dB:duration={duration:.6f}", part):
        if "lavfi.silence_start" in told:
            start = float(told["lavfi.silence_start"])
        if "lavfi.silence_duration" in told:
            total, start = total + float(told["lavfi.silence_duration"]), None
    if start is not None:  # it lasts to the end
        total += length - start
    return round(min(1.0, max(0.0, total / length)), 6)


def _told(sound: Sound, step: str, size: int) -> Iterator[dict[str, str]]:
    """What a filter says of one part after the other, each of so many samples."""
    graph = Graph()
    form = f"sample_rate={RATE}:sample_fmt=fltp:channel_layout=stereo:time_base=1/{RATE}"
    source, sink = graph.add("abuffer", form), graph.add("abuffersink")
    graph.link_nodes(source, graph.add(*step.split("=", 1)), sink).configure()
    for start in range(0, sound.shape[1], size):
        part = np.ascontiguousarray(sound[:, start : start + size])
        frame = AudioFrame.from_ndarray(part, "fltp", "stereo")
        frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
        source.push(frame)
        yield from _ready(sink)
    source.push(None)
    yield from _ready(sink)


def _ready(sink: object) -> Iterator[dict[str, str]]:
    while True:
        try:
            frame = cast(AudioFrame, sink.pull())  # type: ignore[attr-defined]
        except (BlockingIOError, EOFError):
            return
        yield dict(frame.metadata)
