"""Speech in the sound of a clip: a network for which what is loud is speech."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from curate.configs.settings import Settings
from curate.tasks.models.verify import missing
from curate.tasks.speech import Speech
from curate.tasks.stage import Clip, Context, Video
from tests.media import CLOSED, picture, replace, write_video
from tests.tasks.small_networks import loud_speech, publish

pytest.importorskip("onnxruntime")

NOTHING = dict.fromkeys(Speech.columns)
FPS = 24


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Speech:
    publish(monkeypatch, tmp_path, "silero-vad", loud_speech())
    made = Speech(Speech.Options(threshold=0.3), Context(Settings(home=tmp_path)))
    made.load()
    return made


def drawn(path: Path, frames: int, **sound: Any) -> Path:
    """A video with a tone that is there for `audio` seconds."""
    form = replace(CLOSED, time_base=Fraction(1, FPS), pts=list(range(frames)), **sound)
    return write_video(path, [picture(n) for n in range(frames)], form)


def clip_of(path: Path, home: Path, start: int, end: int, **values: Any) -> Clip:
    """The frames from `start` to `end` of a video."""
    video = Video(1, 1, str(path), path.name, values)
    return Clip(1, 1, 0, video, start, end, Fraction(1, FPS), {"num_frames": end - start}, home)


def test_the_sound_of_the_span_is_measured(stage: Speech, tmp_path: Path) -> None:
    path = drawn(tmp_path / "a.mp4", 72, audio=1.0)
    found = dict(stage.score(clip_of(path, tmp_path, 12, 60)))
    # half of a second of two; the network falls silent slowly, and ends are 0.03 s longer
    assert found["speech"] == pytest.approx(0.27, abs=0.06)
    assert found["speech_longest"] == pytest.approx(2 * found["speech"], abs=0.001)
    assert found["pause_longest"] == pytest.approx(2 - found["speech_longest"], abs=0.001)
    assert set(found) == set(Speech.columns)
    silent = stage.score(clip_of(path, tmp_path, 36, 60))
    assert silent == {"speech": 0.0, "speech_longest": 0.0, "pause_longest": 1.0}


def test_where_nothing_can_be_said_there_is_none(stage: Speech, tmp_path: Path) -> None:
    path = drawn(tmp_path / "a.mp4", 12, audio=0.1)
    assert stage.score(clip_of(path, tmp_path, 0, 2)) == NOTHING, "0.1 s hold no stretch"
    found = stage.score(clip_of(path, tmp_path, 0, 12))
    assert found == {"speech": 0.0, "speech_longest": 0.0, "pause_longest": 0.5}
    mute = drawn(tmp_path / "mute.mp4", 4)
    for values in ({}, {"audio": None}):
        assert stage.score(clip_of(mute, tmp_path, 0, 4, **values)) == NOTHING
    image = tmp_path / "a.png"  # never opened
    assert stage.score(clip_of(image, tmp_path, 0, 1)) == NOTHING


def test_missing_weights_are_told_with_the_command_that_gets_them(tmp_path: Path) -> None:
    (line,) = missing(Speech.models(Speech.Options()), tmp_path)
    assert line.endswith("get it with: `curate models fetch silero-vad`")
