"""Text is found where it was drawn, its area is exact, and nothing is fetched from anywhere."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.configs.errors import PackageMissing
from curate.configs.pipeline import parse
from curate.configs.settings import Settings
from curate.tasks.models.text_finder import SIDE, TextBoxes, fitted
from curate.tasks.ocr import Ocr, OcrOptions, as_json, text_areas
from curate.tasks.registry import stages
from curate.tasks.split import Split
from curate.tasks.stage import Clip, Context, Scores, Video
from curate.tasks.video.jpeg import JpegList, encode_jpeg
from curate.tasks.video.measures import Measures
from curate.tasks.video.samples import Samples, writing_samples
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


def film(folder: Path, images: list[media.Image], ends: bool, **values: Any) -> Clip:
    """A clip of which the images are near the start, the middle and the end."""
    jpegs = JpegList()
    start, middle, end = (jpegs.add(n, encode_jpeg(image)) for n, image in enumerate(images))
    kept = [start, end] if ends else []
    with writing_samples(folder, 1) as writer:
        writer.write(0, Measures(2.0, [start, end], [0], middle, ends=kept), jpegs)
    height, width = images[0].shape[:2]
    values = {"width": width, "height": height} | values
    return Clip(1, 1, 0, Video(1, 1, "/a.mp4", "a.mp4", {}), 0, 2, Fraction(1), values, folder)


@pytest.mark.parametrize("ends", [True, False])
def test_texts_of_the_start_middle_and_end_are_told_once(
    stage: Ocr, tmp_path: Path, ends: bool
) -> None:
    """`static` is a picture without text; its bar code is none."""
    scores = stage.score(film(tmp_path, [drawn(s) for s in ("text", "static", "text")], ends))
    ((text, frames),) = json.loads(str(scores["ocr_union"]))
    assert (scores["ocr_frames"], frames) == (3, 2) and scores["ocr_longest"] == text
    assert text.replace(" ", "") == media.TEXT.replace(" ", "")
    assert scores["ocr_longest_share"] == pytest.approx(2 / 3, abs=1e-6)
    assert float(str(scores["union_text_percentage"])) > 0.05
    assert scores["num_boxes"] == scores["total_text_percentage"] == 0  # of the middle frame


@pytest.mark.parametrize("kept", [True, False])
def test_split_keeps_large_frames_of_both_ends_where_ocr_follows(
    kept: bool, tmp_path: Path
) -> None:
    steps = [{"stage": name} for name in ("probe", "split", *["ocr"][: int(kept)], "cut")]
    context = Context(Settings(home=tmp_path), parse(steps, stages(), "test"))
    path = media.write_video(tmp_path / "a.mp4", media.footage(48, size=(960, 540)), media.CLOSED)
    Split(Split.Options(), context).run(Video(1, 1, str(path), "a.mp4", {}))
    middle, first, last = Samples.open(context.settings.samples, 1, 0).large_frames()
    assert middle.shape[:2] == (540, 960)
    assert {first.shape[0], last.shape[0]} == {540 if kept else 256}
    numbers = [media.frame_number(frame) for frame in (first, middle, last)]
    assert numbers[0] == 0 and abs(numbers[1] - 24) <= 4 and numbers[2] >= 40


def test_boxes_inside_bars_are_in_pixels_of_the_clip_and_shares_of_the_inside(
    stage: Ocr, tmp_path: Path
) -> None:
    bare = stage.score(clip(tmp_path, drawn("text")))
    barred = np.pad(drawn("text"), ((60, 60), (40, 0), (0, 0)))
    scores = stage.score(clip(tmp_path, barred, border_box="[40, 60, 640, 360]"))
    near = np.add(found(bare)["boxes"], [40, 60])
    assert np.allclose(np.array(found(scores)["boxes"]), near, atol=3)
    assert scores["num_boxes"] == 1
    assert scores["total_text_percentage"] == pytest.approx(bare["total_text_percentage"], rel=0.05)


def test_only_what_may_hold_text_is_searched(stage: Ocr) -> None:
    finder = stage._finder
    assert finder.may_show_text(fitted(drawn("text"), SIDE, enlarge=True))
    for style in ("static", "black", "noise"):
        assert not finder.may_show_text(fitted(drawn(style), SIDE, enlarge=True))  # type: ignore[arg-type]


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
        "ocr_frames": 1,
        "ocr_union": "[]",
        "ocr_longest": None,
        "ocr_longest_share": 0.0,
        "union_text_percentage": 0.0,
    }


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (16, 400), (30, 20)])
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
    engine = stage._finder._engine
    for part in (engine.text_det, engine.text_rec):
        options = part.session.session.get_session_options()
        assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)


@pytest.mark.parametrize("package", ["rapidocr", "onnxruntime"])
def test_a_missing_package_says_how_to_install_it(
    package: str, hide_package: Callable[[str], None]
) -> None:
    hide_package(package)
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


def share(corners: list[tuple[float, float]], width: int, height: int) -> list[tuple[float, float]]:
    return [(x / width, y / height) for x, y in corners]


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
    single, total = text_areas([share(rectangle(*b), 32, 24) for b in boxes])
    assert (single, total) == pytest.approx((largest / covered.size, covered.sum() / covered.size))


def test_slanted_boxes_that_overlap_are_counted_once() -> None:
    diamond = [(5.0, 0.0), (10.0, 5.0), (5.0, 10.0), (0.0, 5.0)]
    square, half = share(diamond, 10, 10), share(rectangle(0, 0, 5, 10), 10, 10)
    assert text_areas([square, square]) == pytest.approx((0.5, 0.5))
    assert text_areas([square, half]) == pytest.approx((0.5, 0.75))


def test_the_order_of_corners_does_not_matter() -> None:
    crossed = [(0.0, 0.0), (10.0, 10.0), (10.0, 0.0), (0.0, 10.0)]
    assert text_areas([share(crossed, 20, 10)]) == pytest.approx((0.5, 0.5))


def test_text_is_json_whatever_it_says() -> None:
    said = 'quote " back\\slash 漢字 \N{CLAPPER BOARD}'
    found = TextBoxes([share(rectangle(1, 2, 3, 4), 10, 10)], [said], [np.float32(0.98765)])
    assert json.loads(as_json(found, (10, 5), (0, 7))) == {
        "boxes": [[[1, 8], [4, 8], [4, 10], [1, 10]]],
        "texts": [[said, 0.988]],
    }
