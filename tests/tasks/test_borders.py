"""Bars around pictures: exact on drawn ones, and nothing where it is only dark."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from curate.configs.settings import Settings
from curate.tasks.borders import Borders, borders, without_bars
from curate.tasks.stage import Clip, Context, Video
from curate.tasks.video.bars import blurred_bars, find_bars, maybe_bars
from curate.tasks.video.box import common
from curate.tasks.video.jpeg import JpegList, encode_jpeg
from curate.tasks.video.measures import Bars, Measures, Still
from curate.tasks.video.samples import writing_samples
from tests.tasks.scenery import painting

WIDTH, HEIGHT = 480, 270
Sides = tuple[int, int, int, int]


def frames(
    sides: Sides, bar: int | str, count: int = 4, dim: float = 1.0, flat: int = 0
) -> list[np.ndarray]:
    """Gray frames of a camera that pans over a painting, between bars (left, top, right, bottom)
    of a luma, or of the picture blurred, with the noise of coding; so many columns of the picture
    on the left are flat.
    """
    left, top, right, bottom = sides
    high, wide = HEIGHT - top - bottom, WIDTH - left - right
    made = []
    for n in range(count):
        inner = painting(7, (960, 400))[20 : 20 + high, 60 * n : 60 * n + wide].copy()
        inner[:, :flat] = 200
        if bar == "blurred":
            whole = cv2.GaussianBlur(cv2.resize(inner, (WIDTH, HEIGHT)), (0, 0), 14)
        else:
            whole = np.full((HEIGHT, WIDTH), bar, np.uint8)
        whole[top : HEIGHT - bottom, left : WIDTH - right] = inner * dim
        _, coded = cv2.imencode(".jpg", whole, [cv2.IMWRITE_JPEG_QUALITY, 85])
        made.append(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE))
    return made


def found(pictures: list[np.ndarray]) -> dict[str, Any]:
    measured = [
        find_bars(gray, cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB)) if maybe_bars(gray)
        else Bars(0, 0, 0, 0)
        for gray in pictures
    ]  # fmt: skip
    return dict(borders(measured, WIDTH, HEIGHT))


@pytest.mark.parametrize(
    ("sides", "shape"),
    [
        ((0, 33, 0, 33), "letterbox"), ((0, 0, 0, 21), "letterbox"),
        ((61, 0, 60, 0), "pillarbox"), ((160, 0, 160, 0), "pillarbox"),
        ((50, 31, 49, 30), "windowbox"), ((0, 0, 0, 0), "none"),
    ],
)  # fmt: skip
@pytest.mark.parametrize(("luma", "kind"), [(0, "black"), (16, "black"), (235, "coloured")])
def test_bars_of_one_colour_are_exact(sides: Sides, shape: str, luma: int, kind: str) -> None:
    told = found(frames(sides, luma))
    left, top, right, bottom = sides
    inner = [WIDTH - left - right, HEIGHT - top - bottom]
    assert json.loads(told["border_box"]) == [left, top, *inner]
    assert told["border_shape"] == shape
    assert told["border_kind"] == (kind if shape != "none" else "none")


@pytest.mark.parametrize(
    ("sides", "flat"),
    [((130, 0, 130, 0), 0), ((101, 0, 102, 0), 0), ((0, 40, 0, 40), 0), ((130, 0, 130, 0), 40)],
)
def test_blurred_bars_are_exact_to_two_pixels(sides: Sides, flat: int) -> None:
    """Also where one of them is of one colour, as the sky behind it is."""
    told = found(frames(sides, "blurred", flat=flat))
    box = json.loads(told["border_box"])
    expected = [sides[0], sides[1], WIDTH - sides[0] - sides[2], HEIGHT - sides[1] - sides[3]]
    assert np.abs(np.subtract(box, expected)).max() <= 4 and told["border_kind"] == "blurred"
    assert max(abs(box[0] - expected[0]), abs(box[1] - expected[1])) <= 2


def test_a_fade_hides_no_bars_and_is_none() -> None:
    fade = [frame for dim in (0.0, 0.03, 0.3, 1.0) for frame in frames((0, 33, 0, 33), 0, 1, dim)]
    assert json.loads(found(fade)["border_box"]) == [0, 33, WIDTH, HEIGHT - 66]
    bare = [frame for dim in (0.0, 0.03, 0.3, 1.0) for frame in frames((0, 0, 0, 0), 0, 1, dim)]
    assert found(bare)["border_shape"] == "none"


def night() -> np.ndarray:
    """Dark, with a lit window and a glow below."""
    glow = np.linspace(0, 60, HEIGHT)[:, None].repeat(WIDTH, 1).astype(np.uint8)
    glow[120:150, 200:260] = 220
    return glow


def sea() -> np.ndarray:
    """A flat sky over a sea of waves: a straight edge, and no bar."""
    picture = np.full((HEIGHT, WIDTH), 200, np.uint8)
    picture[120:] = painting(3)[:150, :WIDTH]
    return picture


def title() -> np.ndarray:
    """White words on black."""
    picture = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.putText(picture, "THE END", (140, 150), cv2.FONT_HERSHEY_SIMPLEX, 2, 255, 4)
    return picture


@pytest.mark.parametrize("picture", [night(), title()], ids=["night", "title"])
def test_dark_pictures_have_no_bars(picture: np.ndarray) -> None:
    assert found([picture] * 4)["border_shape"] in (None, "none")


def test_a_horizon_is_no_blurred_bar() -> None:
    assert found([sea()] * 2)["border_kind"] != "blurred"


@pytest.mark.parametrize("size", [(1, 1), (2, 40), (40, 40)])
@pytest.mark.parametrize("luma", [0, 128])
def test_flat_pictures_say_nothing(size: tuple[int, int], luma: int) -> None:
    gray = np.full(size, luma, np.uint8)
    told = borders([find_bars(gray, cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB))], size[1], size[0])
    assert set(told.values()) == {None}


@pytest.mark.parametrize("turns", [0, 1])
def test_edges_of_a_picture_without_detail_leave_it_open(turns: int) -> None:
    """Nothing tells a blurred bar from a soft picture."""
    picture = np.linspace(60, 160, 300)[:, None].repeat(400, 1).astype(np.uint8)
    picture[:, 100:300] += 40
    gray = np.rot90(picture, turns)
    assert blurred_bars(np.rot90(gray, 1 - turns)) is None
    bars = find_bars(gray, cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB))
    assert (bars.left, bars.top)[turns] is None and bars.kind == "none"


def test_words_in_a_bar_do_not_end_it() -> None:
    assert common([33, None, 33, None, 33]) == 33  # None: a subtitle stood in it
    assert common([33, 0, 0, 0]) == 0 and common([0, 33, 90, 12]) == 0
    assert common([20]) == 20 and common([]) is None


def test_done_again_after_cut_the_box_is_still_that_of_the_source(tmp_path: Path) -> None:
    """Whose width and height the columns no longer hold, as cut wrote those of its file."""
    jpegs = JpegList()
    picture = jpegs.add(0.0, encode_jpeg(np.zeros((8, 8, 3), np.uint8)))
    stills = [Still(n, 90.0, 9.0, 9.0, Bars(60, 0, 60, 0, "black")) for n in range(2)]
    measures = Measures(2.0, [picture], [0], picture, stills=stills, size=(WIDTH, HEIGHT))
    with writing_samples(tmp_path, 1) as writer:
        writer.write(0, measures, jpegs)
    video, cut = Video(1, 1, "a", "a", {}), {"width": 240, "height": 180}
    clip = Clip(1, 1, 0, video, 0, 1, Fraction(1), cut, tmp_path)
    told = Borders(Borders.Options(), Context(Settings(home=tmp_path))).score(clip)
    assert json.loads(str(told["border_box"])) == [60, 0, WIDTH - 120, HEIGHT]


@pytest.mark.parametrize(
    ("box", "inside"),
    [
        (None, (8, 16, 0)),
        ("[60, 0, 360, 270]", (8, 12, 2)),  # a thirtieth of its size
        ("[61, 35, 359, 200]", (4, 11, 3)),  # no pixel that is a bar in part
        ("[2, 2, 2, 2]", (8, 16, 0)),  # no pixel at all
    ],
)
def test_stored_pictures_are_cut_to_the_box(
    tmp_path: Path, box: str | None, inside: tuple[int, int, int]
) -> None:
    jpegs = JpegList()
    picture = np.full((8, 16, 3), np.arange(16, dtype=np.uint8)[:, None])
    measures = Measures(2.0, [stored := jpegs.add(0.0, encode_jpeg(picture))], [0], stored)
    with writing_samples(tmp_path, 1) as writer:
        writer.write(0, measures, jpegs)
    values = {"width": WIDTH, "height": HEIGHT, "border_box": box}
    clip = Clip(1, 1, 0, Video(1, 1, "a", "a", {}), 0, 1, Fraction(1), values, tmp_path)
    told = without_bars(clip, picture)
    assert (*told.shape[:2], told[0, 0, 0]) == inside
