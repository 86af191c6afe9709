"""Text is found where it was drawn, its area is exact, and nothing is fetched from anywhere."""

from __future__ import annotations

import importlib.util
import json
import logging
import socket
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.configs.errors import PackageMissing
from curate.configs.settings import Settings
from curate.tasks.ocr import Ocr, OcrOptions, as_json, text_areas
from curate.tasks.stage import Clip, Context, Scores, Video
from curate.tasks.video.jpeg import JpegList, encode_jpeg
from curate.tasks.video.measures import Measures
from curate.tasks.video.samples import writing_samples
from tests import media


@pytest.fixture(scope="module")
def stage() -> Iterator[Ocr]:
    """The real engine, loaded with every network connection refused."""

    def refuse(*args: object) -> None:
        raise AssertionError(f"something wanted the network: {args}")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        patch.setattr(socket, "getaddrinfo", refuse)
        made = Ocr(OcrOptions(), Context(Settings()))
        made.load()
        yield made


def clip(folder: Path, image: media.Image, **values: Any) -> Clip:
    """A clip whose stored frame is image."""
    jpegs = JpegList()
    picture = jpegs.add(0.0, encode_jpeg(image))
    with writing_samples(folder, 1) as writer:
        writer.write(0, Measures(0.0, [picture], [0], picture), jpegs)
    height, width = image.shape[:2]
    values = {"width": width, "height": height} | values
    return Clip(1, 1, 0, Video(1, 1, "/a.mp4", "a.mp4", {}), 0, 1, Fraction(1), values, folder)


def drawn(style: media.Style, size: tuple[int, int] = (640, 360)) -> media.Image:
    return media.picture(1, size=size, style=style)


def found(scores: Scores) -> dict[str, Any]:
    return dict(json.loads(str(scores["ocr"])))


def test_drawn_text_is_read_where_it_was_drawn(stage: Ocr, tmp_path: Path) -> None:
    scores = stage.score(clip(tmp_path, drawn("text")))
    content = found(scores)
    (text, confidence), *rest = content["texts"]
    assert not rest and text.replace(" ", "") == media.TEXT.replace(" ", "") and confidence > 0.8
    xs, ys = np.array(content["boxes"][0]).T
    assert (
        0 <= xs.min() < 60 and 500 < xs.max() <= 640
    )  # putText starts at a twentieth of the width
    assert 140 < ys.min() < 240 < ys.max() < 300  # with its base line at two thirds of the height
    assert scores["num_boxes"] == 1


def test_areas_are_shares_of_the_frame(stage: Ocr, tmp_path: Path) -> None:
    scores = stage.score(clip(tmp_path, drawn("text")))
    xs, ys = np.array(found(scores)["boxes"][0]).T
    around = (xs.max() - xs.min()) * (ys.max() - ys.min()) / (640 * 360)
    assert scores["total_text_percentage"] == scores["max_single_percentage"]
    assert 0.8 * around < float(str(scores["max_single_percentage"])) <= around + 1e-9


def test_boxes_are_in_pixels_of_the_clip_not_of_the_stored_frame(
    stage: Ocr, tmp_path: Path
) -> None:
    small = found(stage.score(clip(tmp_path, drawn("text"))))["boxes"]
    large = found(stage.score(clip(tmp_path, drawn("text"), width=1280, height=1440)))["boxes"]
    assert np.allclose(np.array(large), np.array(small) * [2, 4], atol=0.3)


@pytest.mark.parametrize("style", ["static", "black", "noise"])
def test_a_picture_without_text_has_zeros_and_an_empty_list(
    style: media.Style, stage: Ocr, tmp_path: Path
) -> None:
    image = drawn(style, (320, 180))
    image[:23] = image[23:46]  # no bar code
    assert stage.score(clip(tmp_path, image)) == {
        "ocr": '{"boxes": [], "texts": []}',
        "num_boxes": 0,
        "max_single_percentage": 0.0,
        "total_text_percentage": 0.0,
    }


@pytest.mark.parametrize("size", [(2, 2), (16, 400), (30, 20)])
def test_tiny_and_narrow_pictures_are_measured(
    size: tuple[int, int], stage: Ocr, tmp_path: Path
) -> None:
    blank = np.full((size[1], size[0], 3), 128, np.uint8)
    assert stage.score(clip(tmp_path, blank))["num_boxes"] == 0


def test_scores_are_the_declared_columns(stage: Ocr, tmp_path: Path) -> None:
    assert set(stage.score(clip(tmp_path, drawn("black")))) == set(Ocr.columns)


def test_a_high_text_score_leaves_uncertain_boxes_out(tmp_path: Path) -> None:
    strict = Ocr(OcrOptions(text_score=1.0), Context(Settings()))
    strict.load()
    assert strict.score(clip(tmp_path, drawn("text")))["num_boxes"] == 0


def test_it_is_quiet(stage: Ocr, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    stage.score(clip(tmp_path, drawn("black")))
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("RapidOCR").level >= logging.ERROR


def test_one_thread_is_used(stage: Ocr) -> None:
    for part in (stage._engine.text_det, stage._engine.text_rec):
        options = part.session.session.get_session_options()
        assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)


@pytest.mark.parametrize("package", ["rapidocr", "onnxruntime"])
def test_a_missing_package_says_how_to_install_it(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == package else real(name)
    )
    with pytest.raises(PackageMissing, match=rf"{package}.*pip install 'rapidocr>=3"):
        Ocr.check(OcrOptions())


def test_with_both_packages_the_check_passes() -> None:
    Ocr.check(OcrOptions())


# areas

corners = st.tuples(
    st.integers(-8, 40), st.integers(-8, 32), st.integers(1, 24), st.integers(1, 24)
)


def rectangle(x: int, y: int, w: int, h: int) -> list[tuple[float, float]]:
    return [(x, y), (x + w, y), (x + w, y + h), (x, y + h)]


@given(st.lists(corners, max_size=6))
@settings(max_examples=60)
def test_areas_equal_a_count_of_pixels(boxes: list[tuple[int, int, int, int]]) -> None:
    covered = np.zeros((24, 32), bool)
    largest = 0
    for x, y, w, h in boxes:
        one = np.zeros_like(covered)
        one[max(0, y) : max(0, y + h), max(0, x) : max(0, x + w)] = True
        covered |= one
        largest = max(largest, int(one.sum()))
    single, total = text_areas([rectangle(*b) for b in boxes], 32, 24)
    assert (single, total) == pytest.approx((largest / covered.size, covered.sum() / covered.size))


def test_slanted_boxes_that_overlap_are_counted_once() -> None:
    diamond = [(5.0, 0.0), (10.0, 5.0), (5.0, 10.0), (0.0, 5.0)]
    assert text_areas([diamond, diamond], 10, 10) == pytest.approx((0.5, 0.5))
    assert text_areas([diamond, rectangle(0, 0, 5, 10)], 10, 10) == pytest.approx((0.5, 0.75))


def test_the_order_of_corners_does_not_matter() -> None:
    crossed = [(0.0, 0.0), (10.0, 10.0), (10.0, 0.0), (0.0, 10.0)]
    assert text_areas([crossed], 20, 10) == pytest.approx((0.5, 0.5))


def test_text_is_json_whatever_it_says() -> None:
    said = 'quote " back\\slash 漢字 \N{CLAPPER BOARD}'
    shown = as_json([rectangle(1, 2, 3, 4)], [(said, np.float32(0.98765))], (1.0, 0.5))
    assert json.loads(shown) == {
        "boxes": [[[1, 1], [4, 1], [4, 3], [1, 3]]],
        "texts": [[said, 0.988]],
    }
