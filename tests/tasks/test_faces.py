"""Faces over the sampled frames: a network for which what is bright is a face."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from curate.configs.errors import PackageMissing
from curate.configs.settings import Settings
from curate.tasks.faces import Faces
from curate.tasks.models.verify import missing
from curate.tasks.stage import Context
from curate.tasks.video.geometry import RGB
from tests.tasks.small_networks import bright_faces, clip_of, publish

pytest.importorskip("onnxruntime")

HIGH, WIDE = 96, 160


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Faces:
    publish(monkeypatch, tmp_path, "centerface", bright_faces())
    made = Faces(Faces.Options(threshold=0.6), Context(Settings(home=tmp_path)))
    made.load()
    return made


def people(*places: int) -> RGB:
    """A dark picture with a face of 16 x 16 around each of these columns."""
    picture = np.full((HIGH, WIDE, 3), 20, np.uint8)
    for column in places:
        picture[40:44, column : column + 4] = 255
    return picture


def test_most_faces_the_largest_and_how_many_frames_show_one(stage: Faces, tmp_path: Path) -> None:
    found = stage.score(clip_of(tmp_path, [people(), people(40), people(40, 100), people()]))
    share = 16 * 16 / (HIGH * WIDE)
    assert found == {"faces": 2, "face_share": pytest.approx(share, abs=1e-4), "face_frames": 0.5}
    assert set(found) == set(Faces.columns)


@pytest.mark.parametrize("size", [(1, 1), (1, 400), (400, 1), (256, 456)])
@pytest.mark.parametrize("value", [0, 128])
def test_a_flat_still_image_of_any_size_shows_none(
    stage: Faces, tmp_path: Path, size: tuple[int, int], value: int
) -> None:
    clip = clip_of(tmp_path, [np.full((*size, 3), value, np.uint8)], 0.0)
    assert stage.score(clip) == {"faces": 0, "face_share": 0.0, "face_frames": 0.0}


def test_faces_are_counted_and_measured_inside_the_bars(stage: Faces, tmp_path: Path) -> None:
    """The box is in pixels of the source, here of twice the size; a logo stands in the bar."""
    clip = clip_of(tmp_path, [people(8, 100)])
    values = {"width": 2 * WIDE, "height": 2 * HIGH, "border_box": "[64, 0, 256, 192]"}
    found = stage.score(replace(clip, values=values))
    share = 16 * 16 / (HIGH * 128)
    assert found == {"faces": 1, "face_share": pytest.approx(share, abs=1e-4), "face_frames": 1.0}


def test_missing_weights_are_told_with_the_command_that_gets_them(tmp_path: Path) -> None:
    (line,) = missing(Faces.models(Faces.Options()), tmp_path)
    assert line.endswith("get it with: `curate models fetch centerface`")


def test_without_onnx_runtime_the_check_says_how_to_install_it(
    hide_package: Callable[[str], None],
) -> None:
    hide_package("onnxruntime")
    with pytest.raises(PackageMissing, match=r"stage faces.*pip install 'onnxruntime"):
        Faces.check(Faces.Options())
