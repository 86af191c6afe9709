"""Brightness, contrast, colourfulness and the information of P.910."""

from __future__ import annotations

import weakref
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from curate.configs.settings import Settings
from curate.tasks.appearance import Appearance
from curate.tasks.stage import Clip, Context, Video
from curate.tasks.video.flow import measure_pair
from curate.tasks.video.graphs import chain
from curate.tasks.video.measures import Still
from curate.tasks.video.picture_measures import colourfulness, spatial_information
from tests.tasks.scenery import painting


def test_gray_has_no_colour_and_colours_have_much() -> None:
    gray = cv2.cvtColor(painting(1), cv2.COLOR_GRAY2RGB)
    assert colourfulness(gray) == 0
    halves = np.zeros((10, 10, 3), np.uint8)
    halves[:5, :, 0] = halves[5:, :, 2] = 255  # red and blue: rg 255, 0; yb 127.5, -255
    expected = np.hypot(127.5, 191.25) + 0.3 * np.hypot(127.5, 63.75)
    assert colourfulness(halves) == pytest.approx(expected, rel=1e-6)


def test_information_is_that_of_ffmpeg() -> None:
    frames = [painting(1), painting(1)[:, ::-1].copy()]
    made = []
    graph = None
    for number, gray in enumerate(frames):
        frame = av.VideoFrame.from_ndarray(gray, "gray")
        frame.pts = number
        frame.color_range = 2  # full
        graph = graph or chain(frame, ["siti=print_summary=0"])
        graph.vpush(frame)
        made.append(dict(graph.vpull().metadata))
    ours = spatial_information(cv2.cvtColor(frames[0], cv2.COLOR_GRAY2RGB))
    assert ours == pytest.approx(float(made[0]["lavfi.siti.si"]), rel=0.01)
    change = measure_pair(*frames, 1.0, 0.04).deviation
    assert change == pytest.approx(float(made[1]["lavfi.siti.ti"]), rel=0.01)


@pytest.mark.parametrize("size", [(1, 1), (2, 9), (3, 3)])
def test_tiny_and_flat_pictures_have_none(size: tuple[int, int]) -> None:
    flat = np.full((*size, 3), 128, np.uint8)
    assert (spatial_information(flat), colourfulness(flat)) == (0.0, 0.0)


class Stored:
    """Samples of a long clip, which tell how many of its pictures were in memory at once."""

    times = (0.0,) * 50
    stills = (Still(0.0, 100.0, 20.0, 300.0),)
    pairs = ()
    most = 0

    def __init__(self) -> None:
        self._given: list[weakref.ref[np.ndarray]] = []

    def frame(self, number: int) -> np.ndarray:
        self.most = max(self.most, sum(one() is not None for one in self._given))
        picture = np.full((8, 8, 3), number, np.uint8)
        self._given.append(weakref.ref(picture))
        return picture


def test_the_pictures_of_a_clip_are_looked_at_one_by_one(tmp_path: Path) -> None:
    clip = Clip(1, 1, 0, Video(1, 1, "a", "a", {}), 0, 1, Fraction(1), {}, tmp_path)
    clip.__dict__["samples"] = samples = Stored()
    found = Appearance(Appearance.Options(), Context(Settings(home=tmp_path))).score(clip)
    assert (found["brightness"], found["colourfulness"]) == (100.0, 0.0)
    assert samples.most <= 1
