"""Marks that stand still before pictures that move, and pictures that do not move."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from curate.tasks.overlay import Overlay
from curate.tasks.stage import Clip, Context, Settings, Video
from curate.tasks.video.geometry import RGB
from curate.tasks.video.jpeg import JpegList, encode_jpeg
from curate.tasks.video.measures import Measures
from curate.tasks.video.samples import writing_samples
from curate.tasks.video.standing import _alive, standing
from tests.tasks.scenery import painting

SIZE = (320, 180)


def moving(count: int = 8, step: int = 40) -> list[RGB]:
    """Pictures of a camera that pans over a painting."""
    wide = painting(2, (960, 400))
    return [
        cv2.cvtColor(wide[100:280, step * n : step * n + 320], cv2.COLOR_GRAY2RGB).astype(np.uint8)
        for n in range(count)
    ]


def marked(pictures: list[RGB], opacity: float) -> list[RGB]:
    made = []
    for picture in pictures:
        mark = cv2.putText(picture.copy(), "TV 7", (236, 30), 0, 0.8, (255, 255, 255), 3)
        made.append(cv2.addWeighted(mark, opacity, picture, 1 - opacity, 0).astype(np.uint8))
    return made


@pytest.mark.parametrize("opacity", [0.4, 1.0])
def test_a_mark_is_found_where_it_is(opacity: float) -> None:
    found = standing(marked(moving(), opacity))
    assert found is not None and 0.005 < found.share < 0.08
    assert found.x * 320 == pytest.approx(236, abs=8) and found.y < 0.1
    assert (found.x + found.width) * 320 == pytest.approx(304, abs=16)


def test_a_mark_inside_bars_is_told_in_pixels_of_the_source(tmp_path: Path) -> None:
    """And its share is of the picture inside."""
    jpegs, pictures = JpegList(), []
    for n, picture in enumerate(marked(moving(), 1.0)):
        pictures.append(jpegs.add(n, encode_jpeg(np.pad(picture, ((30, 30), (20, 0), (0, 0))))))
    measures = Measures(8.0, pictures, [0], pictures[0], size=(680, 480))
    with writing_samples(tmp_path, 1) as writer:
        writer.write(0, measures, jpegs)
    video, values = Video(1, 1, "a", "a", {}), {"border_box": "[40, 60, 640, 360]"}
    clip = Clip(1, 1, 0, video, 0, 1, Fraction(1), values, tmp_path)
    told = Overlay(Overlay.Options(), Context(Settings())).score(clip)
    x, y, width, _ = json.loads(str(told["overlay_box"]))
    assert x == pytest.approx(40 + 2 * 236, abs=16) and 60 <= y < 96
    assert x + width == pytest.approx(40 + 2 * 304, abs=32)
    bare = standing(marked(moving(), 1.0))
    assert bare and float(str(told["overlay_share"])) == pytest.approx(bare.share, abs=0.005)


def test_without_a_mark_there_is_none() -> None:
    found = standing(moving())
    assert found is not None and found.share == 0


def test_the_edges_of_bars_are_no_marks() -> None:
    pictures = moving()
    for picture in pictures:
        picture[:20] = picture[-20:] = 0
    found = standing(pictures)
    assert found is not None and found.share == 0


@pytest.mark.parametrize(
    "pictures",
    [moving(8, 0), moving(4), *([np.full((n, n, 3), 128, np.uint8)] * 8 for n in (1, 90))],
    ids=["tripod", "few", "tiny", "flat"],
)  # fmt: skip
def test_where_the_picture_stands_nothing_is_said(pictures: list[RGB]) -> None:
    assert standing(pictures) is None


class Stored:
    """Samples of a clip."""

    def __init__(self, pictures: list[RGB]) -> None:
        self._pictures = pictures
        self.measures = self
        self.pictures = pictures
        self.size: tuple[int, int] | None = None
        self.looked_at: list[int] = []

    def picture(self, number: int) -> RGB:
        self.looked_at.append(number)
        return self._pictures[number]


def test_the_columns_are_in_pixels_of_the_clip(tmp_path: Any) -> None:
    stage = Overlay(Overlay.Options(), Context(Settings(home=tmp_path)))
    sizes = {"width": 640, "height": 360}
    for opacity, place in ((1.0, "top_right"), (0.0, "none")):
        clip = Clip(1, 1, 0, Video(1, 1, "a", "a", {}), 0, 1, Fraction(1), sizes, tmp_path)
        clip.__dict__["samples"] = Stored(marked(moving(), opacity))
        found = stage.score(clip)
        assert set(found) == set(Overlay.columns) and found["overlay_place"] == place


def test_a_long_clip_is_looked_at_here_and_there(tmp_path: Any) -> None:
    stage = Overlay(Overlay.Options(), Context(Settings(home=tmp_path)))
    clip = Clip(1, 1, 0, Video(1, 1, "a", "a", {}), 0, 1, Fraction(1), {}, tmp_path)
    clip.__dict__["samples"] = samples = Stored(marked(moving(), 1.0) * 400)
    samples.size = (640, 360)
    assert stage.score(clip)["overlay_place"] == "top_right"
    assert samples.looked_at == list(range(0, 3200, 50))


def test_marks_lie_within_the_edges_of_a_picture_that_hardly_lives() -> None:
    grays = np.full((8, 60, 90), 100, np.uint8)
    grays[::2, :6] = 200  # only the uppermost lines change
    assert not _alive(grays).any()


def test_before_a_camera_on_a_tripod_nothing_is_said(tmp_path: Any) -> None:
    stage = Overlay(Overlay.Options(), Context(Settings(home=tmp_path)))
    values = {"width": 640, "height": 360, "camera_motion": "static"}
    clip = Clip(1, 1, 0, Video(1, 1, "a", "a", {}), 0, 1, Fraction(1), values, tmp_path)
    clip.__dict__["samples"] = Stored(marked(moving(), 1.0))
    assert set(stage.score(clip).values()) == {None}
