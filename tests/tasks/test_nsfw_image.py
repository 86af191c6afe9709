"""OpenNSFW over the sampled frames: a network whose answer is the light of a picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from curate.configs.errors import BadModel, PackageMissing
from curate.configs.settings import Settings
from curate.tasks.models.onnx_graph import OnnxGraph
from curate.tasks.models.verify import missing
from curate.tasks.nsfw_image import NsfwImage
from curate.tasks.stage import Context
from curate.tasks.video.geometry import RGB
from tests.tasks.small_networks import clip_of, publish

pytest.importorskip("onnxruntime")


def light() -> bytes:
    """A network whose second answer is the mean of a picture, 0 (black) to 1 (white)."""
    graph = OnnxGraph("light")
    pixels = graph.input("input", "float32", (1, 224, 224, 3))
    means = graph.node("ReduceMean", pixels, graph.integers(1, 2), keepdims=0)
    weights = np.array([[0, 1], [0, 1], [0, 1]], np.float32) / (3 * 255)
    bias = np.array([0, (104 + 117 + 123) / (3 * 255)], np.float32)
    both = graph.node("Gemm", means, graph.constant(weights), graph.constant(bias))
    graph.output(both, "output", (1, 2))
    return graph.serialized()


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NsfwImage:
    publish(monkeypatch, tmp_path, "open-nsfw", light())
    made = NsfwImage(NsfwImage.Options(), Context(Settings(home=tmp_path)))
    made.load()
    return made


def gray(value: int, size: tuple[int, int] = (90, 160)) -> RGB:
    return np.full((*size, 3), value, np.uint8)


def test_the_columns_are_the_largest_and_the_mean_of_the_frames(
    stage: NsfwImage, tmp_path: Path
) -> None:
    found = stage.score(clip_of(tmp_path, [gray(51), gray(204), gray(102)]))
    assert found == pytest.approx({"nsfw_image": 0.8, "nsfw_image_mean": 1.4 / 3}, abs=0.01)
    assert set(found) == set(NsfwImage.columns)


@pytest.mark.parametrize("size", [(1, 1), (1, 400), (400, 1), (256, 456)])
def test_a_still_image_of_any_size_has_one_score(
    stage: NsfwImage, tmp_path: Path, size: tuple[int, int]
) -> None:
    found = stage.score(clip_of(tmp_path, [gray(102, size)], 0.0))
    assert found == pytest.approx({"nsfw_image": 0.4, "nsfw_image_mean": 0.4}, abs=0.01)


def test_two_datasets_share_the_network(stage: NsfwImage) -> None:
    other = NsfwImage(NsfwImage.Options(), stage.context)
    other.load()
    assert other._network is stage._network


def test_missing_weights_are_told_with_the_command_that_gets_them(tmp_path: Path) -> None:
    (line,) = missing(NsfwImage.models(NsfwImage.Options()), tmp_path)
    assert line.endswith("get it with: `curate models fetch open-nsfw`")


def test_another_file_is_refused_when_it_is_loaded(stage: NsfwImage, tmp_path: Path) -> None:
    file = tmp_path / "models" / "open-nsfw" / "open_nsfw.onnx"
    other = tmp_path / "other"
    other.mkdir()
    (other / file.name).write_bytes(file.read_bytes()[::-1])
    options = NsfwImage.Options(model=str(other))
    with pytest.raises(BadModel, match="SHA-256 is not that of the published file"):
        NsfwImage(options, stage.context).load()


def test_without_onnx_runtime_the_check_says_how_to_install_it(
    hide_package: Callable[[str], None],
) -> None:
    hide_package("onnxruntime")
    with pytest.raises(PackageMissing, match=r"stage nsfw_image.*pip install 'onnxruntime"):
        NsfwImage.check(NsfwImage.Options())
