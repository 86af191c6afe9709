"""Networks with published weights say of 20 real frames what their packages say.

data/published.json was made once by data/make_published.py, which tells the packages and where the
frames are from. The weights are too large to commit: the tests run where they are installed
(CURATE_MODELS).
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from curate.tasks.models.open_nsfw import open_nsfw
from curate.tasks.models.transnet import onnx_transnet
from curate.tasks.models.vgg import OnnxLpips, lpips_model
from curate.tasks.video.geometry import RGB

DATA = Path(__file__).parent / "data"
REFERENCE = json.loads((DATA / "published.json").read_text())
MODELS = Path(os.environ.get("CURATE_MODELS", "/none"))
HEIGHT = 135


def frames() -> Sequence[RGB]:
    """20 frames, 135 x 240 x 3."""
    with Image.open(DATA / "frames.jpg") as strip:
        pixels = np.asarray(strip)
    return [pixels[top : top + HEIGHT] for top in range(0, len(pixels), HEIGHT)]


def window() -> RGB:
    """Each frame for five, at the size that TransNetV2 sees."""
    small = [Image.fromarray(f).resize((48, 27), Image.Resampling.NEAREST) for f in frames()]
    return np.repeat(np.stack([np.asarray(one) for one in small]), 5, axis=0)


def folder(name: str) -> Path:
    """The folder of a model; skips the test without it."""
    if not (MODELS / name).is_dir():
        pytest.skip("the published weights are not installed")
    return MODELS / name


def test_the_frames_are_twenty_and_the_references_of_all() -> None:
    assert len(frames()) == len(REFERENCE["open_nsfw"]) == 20
    assert len(REFERENCE["lpips"]) == 19 and np.shape(REFERENCE["transnet"]) == (2, 100)
    for values in REFERENCE.values():
        assert np.ptp(values) > 0.5, "they tell the frames apart"


def test_open_nsfw() -> None:
    network = open_nsfw(folder("open-nsfw"))
    found = [network.score(frame) for frame in frames()]
    assert np.abs(np.subtract(found, REFERENCE["open_nsfw"])).max() < 1e-4


def test_transnet() -> None:
    found = onnx_transnet(folder("transnetv2")).predict(window())
    assert np.abs(np.subtract(found, REFERENCE["transnet"])).max() < 1e-5


def test_transnet_on_mindspore() -> None:
    """It takes minutes of a busy CPU."""
    from curate.tasks.models.transnet_mindspore import mindspore_transnet

    found = mindspore_transnet(folder("transnetv2"), "CPU").predict(window())
    assert np.abs(np.subtract(found, REFERENCE["transnet"])).max() < 1e-5


def test_lpips() -> None:
    model = lpips_model(folder("lpips-vgg16"), "CPU")
    assert isinstance(model, OnnxLpips)
    features = model.features(frames())
    found = [model.distance(one, other) for one, other in pairwise(features)]
    assert np.abs(np.subtract(found, REFERENCE["lpips"])).max() < 1e-4
