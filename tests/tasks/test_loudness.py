"""Loudness of tones whose loudness is known, and silence."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curate.configs.settings import Settings
from curate.tasks.loudness import Loudness
from curate.tasks.stage import Clip, Context, Video
from curate.tasks.video.loudness import loudness, silence
from curate.tasks.video.sound import RATE
from tests.media import CLOSED, picture, replace, write_video


def tone(seconds: float, level: float) -> Any:
    """997 Hz in both channels, `level` dB of full scale."""
    wave = 10 ** (level / 20) * np.sin(2 * np.pi * 997 * np.arange(round(seconds * RATE)) / RATE)
    return np.stack([wave, wave]).astype(np.float32)


@pytest.mark.parametrize("level", [-23.0, -33.0])
def test_a_tone_of_ebu_tech_3341_is_as_loud_as_it_says(level: float) -> None:
    assert loudness(tone(3, level)) == pytest.approx(level, abs=0.1)


@pytest.mark.parametrize("seconds", [0.0, 0.1, 1.0])
def test_what_is_silent_or_short_has_no_loudness(seconds: float) -> None:
    assert loudness(tone(seconds, -120)) is None and loudness(tone(0.1, -20)) is None
    assert silence(tone(seconds, -120)) == (pytest.approx(1.0, abs=0.01) if seconds else None)
    assert silence(tone(0.1, -20)) == 0.0


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (0, 2, 1)])
def test_silence_is_a_share_of_the_time(order: tuple[int, ...]) -> None:
    parts = [tone(2, -20), tone(1, -90), tone(1, -30)]
    told = silence(np.concatenate([parts[n] for n in order], axis=1))
    assert told == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize("gap", [0.02, 0.05])
def test_a_blip_within_silence_takes_none_of_it_away(gap: float) -> None:
    parts = [tone(1, -20), tone(1.05, -120), tone(gap, -20), tone(0.6, -120), tone(1, -20)]
    sound = np.concatenate([*parts, tone(1.3, -120), tone(gap, -20), tone(1.6, -120)], axis=1)
    told = silence(sound)
    assert told == pytest.approx((1.05 + 0.6 + 1.3 + 1.6) / (sound.shape[1] / RATE), abs=0.01)


def scores(path: Path, seconds: float, home: Path, **values: Any) -> dict[str, Any]:
    video = Video(1, 1, str(path), path.name, values)
    end = round(seconds * 24)
    clip = Clip(1, 1, 0, video, 0, end, Fraction(1, 24), {"num_frames": end}, home)
    return dict(Loudness(Loudness.Options(), Context(Settings(home=home))).score(clip))


def test_the_sound_of_a_clip_is_measured(tmp_path: Path) -> None:
    sound = replace(CLOSED, audio=1.0, time_base=Fraction(1, 24), pts=list(range(48)))
    path = write_video(tmp_path / "a.mp4", [picture(n) for n in range(48)], sound)
    told = scores(path, 2, tmp_path)
    assert told["loudness"] == pytest.approx(-20.7, abs=1.5)
    assert told["silence"] == pytest.approx(0.5, abs=0.06)


def test_without_sound_there_is_no_loudness(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [picture(n) for n in range(4)])
    for values in ({}, {"audio": None}):
        assert scores(path, 0.1, tmp_path, **values) == {"loudness": None, "silence": None}
