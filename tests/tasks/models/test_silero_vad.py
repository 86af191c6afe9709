"""Silero VAD: probabilities and stretches as the published package has them.

data/silero_vad.json was made once by data/make_silero_vad.py with the package silero-vad 6.2.3; the
published weights are compared where they are installed (CURATE_MODELS).
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from curate.tasks.models.silero_vad import one_channel, silero_vad, stretches
from tests.tasks.small_networks import loud_speech, publish, voice

pytest.importorskip("onnxruntime")

REFERENCE = json.loads((Path(__file__).parent / "data" / "silero_vad.json").read_text())
PUBLISHED = Path(os.environ.get("CURATE_MODELS", "/none")) / "silero-vad"
published = pytest.mark.skipif(
    not PUBLISHED.is_dir(), reason="the published weights are not installed"
)


@pytest.mark.parametrize("case", range(len(REFERENCE["cases"])))
def test_stretches_are_those_of_the_published_code(case: int) -> None:
    probabilities, threshold, length, expected = REFERENCE["cases"][case]
    assert [list(one) for one in stretches(probabilities, threshold, length)] == expected


def test_a_window_is_read_after_the_end_of_the_one_before_and_with_its_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = silero_vad(publish(monkeypatch, tmp_path, "silero-vad", loud_speech()))
    sound = np.zeros(3 * 512 + 100, np.float32)
    sound[:512] = 0.1
    assert network.probabilities(sound) == pytest.approx([0.8, 0.4, 0.2, 0.1])
    assert network.probabilities(sound[512:]) == pytest.approx([0, 0, 0]), "nothing is left over"
    assert network.probabilities(sound[:0]) == []


@pytest.mark.parametrize("rate", [440, 3000, 12000])
def test_both_channels_are_mixed_and_what_16_khz_cannot_hold_is_gone(rate: int) -> None:
    time = np.arange(48000) / 48000
    left = np.sin(2 * np.pi * rate * time).astype(np.float32)
    mixed = one_channel(np.stack([left, 0 * left]))
    assert (mixed.shape, mixed.dtype) == ((16000,), np.float32)
    assert np.abs(mixed[500:-500]).max() == pytest.approx(0.5 if rate < 8000 else 0, abs=0.01)
    assert one_channel(np.zeros((2, 0), np.float32)).shape == (0,)
    left[:9000:3000] = np.nan, np.inf, -np.inf
    assert np.isfinite(one_channel(np.stack([left, left]))).all()


@published
def test_published_weights_hear_what_the_published_code_hears() -> None:
    sound = voice()
    found = silero_vad(PUBLISHED).probabilities(sound)
    np.testing.assert_allclose(found, REFERENCE["voice"], atol=1e-4)
    assert [list(one) for one in stretches(found, 0.5, len(sound))] == REFERENCE["stretches"]
