"""EfficientNet-Lite0 as the published architecture computes it on torch.

data/efficientnet.json was made once by data/make_efficientnet.py with random weights and with the
published ones; the latter are compared where they are installed (CURATE_MODELS).
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from curate.configs.errors import BadModel
from curate.tasks.models.efficientnet import WIDTH, EfficientNet, efficientnet
from tests import tiny
from tests.tasks.small_networks import drawn

pytest.importorskip("onnxruntime")

REFERENCE = json.loads((Path(__file__).parent / "data" / "efficientnet.json").read_text())
PUBLISHED = Path(os.environ.get("CURATE_MODELS", "/none")) / "efficientnet-lite0"
published = pytest.mark.skipif(
    not PUBLISHED.is_dir(), reason="the published weights are not installed"
)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> EfficientNet:
    return efficientnet(tiny.write_efficientnet(tmp_path_factory.mktemp("models") / "random"))


@pytest.mark.parametrize("kind", ["noise", "waves"])
def test_vectors_are_those_of_the_published_architecture(network: EfficientNet, kind: str) -> None:
    found = network.means(drawn(kind))
    assert (found.shape, found.dtype) == ((WIDTH,), np.float32)
    np.testing.assert_allclose(found[::20], REFERENCE["random"][kind], atol=1e-4)


@published
@pytest.mark.parametrize("kind", ["noise", "waves"])
def test_published_weights_give_what_torch_gives(kind: str) -> None:
    found = efficientnet(PUBLISHED).means(drawn(kind))
    np.testing.assert_allclose(found[::20], REFERENCE["published"][kind], atol=1e-4)


@published
@pytest.mark.parametrize("size", [(1, 1), (1, 700), (700, 1), (40, 40)])
@pytest.mark.parametrize("value", [0, 128, 255])
def test_published_weights_give_flat_pictures_vectors(size: tuple[int, int], value: int) -> None:
    found = efficientnet(PUBLISHED).means(np.full((*size, 3), value, np.uint8))
    assert np.isfinite(found).all() and found.any(), "gray has 0.005, a photograph 12 and more"


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match="kind efficientnet_lite0"):
        efficientnet(tiny.write_nsfw(tmp_path / "other"))
