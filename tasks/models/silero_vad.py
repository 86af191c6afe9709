"""Silero VAD (github.com/snakers4/silero-vad, release 6): when somebody speaks, by ONNX Runtime.

Sound is read in windows of 32 ms, each after the last 4 ms of the one before, as in the package
silero-vad; so are stretches of speech made of the probabilities, with the package's defaults.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from curate.tasks.models.model_cache import cached_model
from curate.tasks.models.onnx_session import onnx_session
from curate.tasks.models.verify import published_files
from curate.tasks.video.sound import RATE as SOURCE_RATE
from curate.tasks.video.sound import span_sound
from curate.tasks.video.span import Span

Floats = NDArray[np.float32]
Stretch = tuple[int, int]  # of samples: from, to

RATE = 16000  # samples a second
WINDOW, _CONTEXT = 512, 64  # samples
_HYSTERESIS = 0.15  # speech ends where it is less likely than the threshold by this
_LEAST_SPEECH = 0.25  # seconds; what is shorter is none
_LEAST_PAUSE, _PAD = 0.1, 0.03  # seconds


class SileroVad:
    """The network of a folder. Created by `silero_vad`."""

    def __init__(self, folder: Path) -> None:
        (file,) = published_files(folder, "silero_vad")
        self._session = onnx_session(file, "Silero VAD", file)

    def speech(self, source: str, span: Span, threshold: float) -> list[tuple[float, float]] | None:
        """The stretches of speech in a span of a source: from and to, as shares of its length.

        None where there is no sound, or too little for a stretch. Raises MediaError.
        """
        stereo = span_sound(source, span)
        sound = None if stereo is None else one_channel(stereo)
        if sound is None or len(sound) <= _LEAST_SPEECH * RATE:
            return None
        found = stretches(self.probabilities(sound), threshold, len(sound))
        return [(begin / len(sound), end / len(sound)) for begin, end in found]

    def probabilities(self, sound: Floats) -> list[float]:
        """How likely speech is in each window of 512 samples (n,) at 16 kHz; the last is padded."""
        windows = np.pad(sound, (0, -len(sound) % WINDOW)).reshape(-1, WINDOW)
        state, context = np.zeros((2, 1, 128), np.float32), np.zeros(_CONTEXT, np.float32)
        rate = np.array(RATE, np.int64)
        found = []
        for window in windows:
            inputs = {"input": np.concatenate([context, window])[None], "state": state, "sr": rate}
            likely, state = self._session.run(None, inputs)
            context = window[-_CONTEXT:]
            found.append(float(likely[0, 0]))
        return found


def one_channel(stereo: Floats) -> Floats:
    """Sound of several channels (channels, samples) at 48 kHz as one (n,) at 16 kHz.

    Samples that are no numbers, which files of floats may hold, are silence.
    """
    mean = np.nan_to_num(stereo, nan=0, posinf=0, neginf=0).mean(axis=0)
    mixed: Floats = resample_poly(mean, RATE, SOURCE_RATE).astype(np.float32)
    return mixed


def silero_vad(folder: Path) -> SileroVad:
    """The network of a folder, shared within the process. Raises BadModel, PackageMissing."""
    return cached_model(SileroVad, folder)


def stretches(probabilities: Sequence[float], threshold: float, length: int) -> list[Stretch]:
    """The stretches of speech in `length` samples, by the probabilities of their windows.

    One begins where speech is as likely as the threshold, and ends where it stays less likely by
    0.15 for 0.1 s. Those of 0.25 s and less are left out, the others get 0.03 s at both ends.
    """
    found: list[Stretch] = []
    begin = quiet = None  # samples where speech began, and where it may have ended
    for number, likely in enumerate(probabilities):
        now = number * WINDOW
        if likely >= threshold:
            begin, quiet = now if begin is None else begin, None
        elif begin is not None and likely < max(threshold - _HYSTERESIS, 0.01):
            quiet = now if quiet is None else quiet
            if now - quiet >= _LEAST_PAUSE * RATE:
                found.append((begin, quiet))
                begin = quiet = None
    if begin is not None:
        found.append((begin, length))
    return _padded([one for one in found if one[1] - one[0] > _LEAST_SPEECH * RATE], length)


def _padded(found: Sequence[Stretch], length: int) -> list[Stretch]:
    """Stretches that are longer at both ends; those that would overlap meet in the middle."""
    pad = round(_PAD * RATE)
    ends = [0, *(n for one in found for n in one), length]
    gaps = [after - before for before, after in zip(ends[::2], ends[1::2], strict=True)]
    return [
        (
            begin - (min(pad, gap) if number == 0 else min(pad, gap // 2)),
            end + (min(pad, after) if number == len(found) - 1 else min(pad, after // 2)),
        )
        for number, ((begin, end), gap, after) in enumerate(
            zip(found, gaps, gaps[1:], strict=False)
        )
    ]
