"""Runs the networks of curate on the inputs of the references, in the process of cases.py."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests import tiny
from tests.accuracy import inputs

END = 49407  # of a text
BATCHES = {
    "one by one": 1,
    "by fives": 5,
    "all at once": 12,
}  # five leaves a batch that is not full


def alone(event: str, arguments: Sequence[Any]) -> None:
    """An audit hook that refuses connections to hosts and imports of torch."""
    if event == "socket.getaddrinfo" or (
        event == "socket.connect" and isinstance(arguments[1], tuple)
    ):
        raise PermissionError(f"{event} {arguments[1:]}: no network in accuracy tests")
    if event == "import" and str(arguments[0]).split(".")[0] in ("torch", "torchvision"):
        raise ImportError("no torch in accuracy tests")


def images(models: Path) -> dict[str, Any]:
    """Image features by both engines, for each way to batch."""
    from curate.tasks.models.towers_mindspore import MindSporeImageTower
    from curate.tasks.models.towers_onnx import OnnxImageTower

    folder, pixels = models / tiny.CLIP, inputs.pixels()
    engines = {
        "image": MindSporeImageTower(folder, "CPU", "auto", None),
        "image, ONNX,": OnnxImageTower(folder, 4),
    }
    return {
        f"{engine} {name}": np.concatenate(
            [tower.embed(pixels[i : i + size]) for i in range(0, len(pixels), size)]
        )
        for engine, tower in engines.items()
        for name, size in BATCHES.items()
    }


def texts(models: Path) -> dict[str, Any]:
    """Text features by both engines, what text towers say cosines are multiplied by, and features
    by another ``eos_token_id``.
    """
    from curate.tasks.models.towers_mindspore import MindSporeTextTower
    from curate.tasks.models.towers_onnx import OnnxTextTower

    folder = models / tiny.CLIP
    newer = other_end(folder, models / "other-end")
    tower, onnx = MindSporeTextTower(folder, "CPU", "auto", None), OnnxTextTower(folder)
    newer_tower = MindSporeTextTower(newer, "CPU", "auto", None)
    return {
        "text": tower.embed(inputs.TOWER_TEXTS), "logit_scale": np.array(tower.logit_scale),
        "text, other end": newer_tower.embed(inputs.TOWER_TEXTS),
        "text, ONNX": onnx.embed(inputs.TOWER_TEXTS),
        "text, ONNX, other end": OnnxTextTower(newer).embed(inputs.TOWER_TEXTS),
        "logit_scale, ONNX": np.array(onnx.logit_scale),
    }  # fmt: skip


def other_end(model: Path, copy: Path) -> Path:
    """The model with the end-of-text id in its config, as later checkpoints have it; OpenAI's have
    2 there.
    """
    shutil.copytree(model, copy)
    config = json.loads((model / "config.json").read_text())
    assert config["text_config"]["eos_token_id"] == 2
    config["text_config"]["eos_token_id"] = END
    (copy / "config.json").write_text(json.dumps(config))
    return copy


def distances(models: Path) -> dict[str, Any]:
    """LPIPS of the pairs."""
    from curate.tasks.models.vgg import MindSporeLpips, OnnxLpips

    folder, pairs = models / tiny.LPIPS, inputs.pairs(inputs.photos())
    engines = {"lpips": MindSporeLpips(folder, "CPU", "auto"), "lpips, ONNX": OnnxLpips(folder)}
    return {
        name: np.array([made.distance(*made.features(pair)) for pair in pairs])
        for name, made in engines.items()
    }
