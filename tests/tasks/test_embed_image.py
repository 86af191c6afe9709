"""embed_image: the vectors that reach the table, for concepts and duplicates without CLIP."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from curate.configs.errors import NoEmbeddings
from curate.configs.pipeline import parse
from curate.configs.row_errors import NotFinite
from curate.configs.settings import Settings
from curate.tasks.embed_image import EmbedImage
from curate.tasks.models.catalog import usual_eps
from curate.tasks.models.embedder import embedder_of
from curate.tasks.models.embeddings import read
from curate.tasks.models.verify import missing
from curate.tasks.registry import stages
from curate.tasks.stage import Clip, Context
from curate.tasks.video.geometry import RGB
from curate.worker.outcomes import run_rows
from tests import tiny
from tests.tasks.small_networks import clip_of, drawn

pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    tiny.write_efficientnet(home / "models" / "efficientnet-lite0")
    return home


@pytest.fixture
def stage(home: Path) -> EmbedImage:
    made = EmbedImage(EmbedImage.Options(), Context(Settings(home=home)))
    made.load()
    return made


def vectors(stage: EmbedImage, clip: Clip) -> np.ndarray:
    (rows,) = stage.run(clip).tables
    assert (rows.table, rows.where) == ("embeddings", {"model": "efficientnet-lite0"})
    assert {row["revision"] for row in rows.rows} == {stage._network.revision}
    return read([row["vector"] for row in rows.rows])


def test_three_points_of_a_clip_are_embedded(stage: EmbedImage, tmp_path: Path) -> None:
    noise, waves = drawn("noise"), drawn("waves")
    clip = clip_of(tmp_path, [noise, noise, waves, waves, waves])
    (rows,) = stage.run(clip).tables
    points = [(row["frame"], row["position"]) for row in rows.rows]
    assert points == [(0, 0.1), (1, 0.5), (2, 0.9)]
    found = vectors(stage, clip)
    assert found.shape == (3, 1280)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-3)
    np.testing.assert_array_equal(found[1], found[2])
    assert np.abs(found[0] - found[1]).max() > 0.005, "noise is not like waves"


@pytest.mark.parametrize("size", [(1, 1), (1, 400), (400, 1), (256, 456)])
@pytest.mark.parametrize("value", [0, 128])
def test_a_still_image_of_any_size_has_one_vector(
    stage: EmbedImage, tmp_path: Path, size: tuple[int, int], value: int
) -> None:
    found = vectors(stage, clip_of(tmp_path, [np.full((*size, 3), value, np.uint8)], 0.0))
    assert found.shape == (1, 1280) and np.isfinite(found).all()


def test_what_lies_inside_the_bars_is_embedded(stage: EmbedImage, tmp_path: Path) -> None:
    # gray and of whole blocks of JPEG, so that bars change nothing in it
    waves = drawn("waves")[:80, :, :1].repeat(3, axis=2)
    boxed: RGB = np.pad(waves, ((32, 32), (0, 0), (0, 0)))
    plain = vectors(stage, clip_of(tmp_path / "plain", [waves]))
    clip = clip_of(tmp_path / "boxed", [boxed])
    values = {"width": 200, "height": 144, "border_box": "[0, 32, 200, 80]"}
    inside = vectors(stage, replace(clip, values=values))
    np.testing.assert_array_equal(inside, plain)
    assert np.abs(vectors(stage, clip) - plain).max() > 0.005


def test_a_vector_of_no_direction_fails_its_clip(
    stage: EmbedImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage._network, "means", lambda picture: np.zeros(1280, np.float32))
    clip = clip_of(tmp_path, [drawn("waves")])
    ((reason, message),) = run_rows(stage, [clip]).failed.values()
    assert reason == NotFinite.__name__ and "embed_image computed" in message


def test_it_comes_before_concepts_and_is_no_search() -> None:
    steps = [{"stage": name} for name in ("probe", "split", "embed_image", "concept")]
    pipeline = parse(steps, stages(), "test")
    with pytest.raises(NoEmbeddings, match="no stage clip_embed"):
        embedder_of(pipeline, "pets", lambda *options: "")


@pytest.mark.parametrize(
    ("model", "eps"),
    [("efficientnet-lite0", 0.2), ("/models/efficientnet-lite0", 0.2), ("my-clip", 0.07)],
)
def test_what_looks_alike_is_farther_apart_than_by_clip(model: str, eps: float) -> None:
    assert usual_eps(model) == eps


def test_missing_weights_are_told_with_the_command_that_gets_them(
    home: Path, tmp_path: Path
) -> None:
    shutil.copytree(home / "models", tmp_path / "models")
    needs = EmbedImage.models(EmbedImage.Options())
    assert missing(needs, tmp_path / "models") == []
    (line,) = missing(needs, tmp_path)
    assert line.endswith("get it with: `curate models fetch efficientnet-lite0`")
