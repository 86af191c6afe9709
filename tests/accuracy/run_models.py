"""Runs the networks of curate on the inputs of the references, in a process of its own: MindSpore must not share one
with tests that fork. ``python -m tests.accuracy.run_models MODELS RESULT.npz PART…``, a part being a function below.

Any attempt to reach another host, or to import torch, ends it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests import tiny
from tests.accuracy import inputs

BATCHES = {"one by one": 1, "by fives": 5, "all at once": 12}  # five leaves a batch that is not full


def alone(event: str, arguments: Sequence[Any]) -> None:
    """An audit hook that refuses connections to hosts and imports of torch."""
    if event == "socket.getaddrinfo" or (event == "socket.connect" and isinstance(arguments[1], tuple)):
        raise PermissionError(f"{event} {arguments[1:]}: no network in accuracy tests")
    if event == "import" and str(arguments[0]).split(".")[0] in ("torch", "torchvision"):
        raise ImportError("no torch in accuracy tests")


def images(models: Path) -> dict[str, Any]:
    """Image features, for each way to batch."""
    from curate.tasks.models.towers import image_tower

    tower, pixels = image_tower(models / tiny.CLIP, "CPU"), inputs.pixels()
    return {
        f"image {name}": np.concatenate([tower.embed(pixels[i : i + size]) for i in range(0, len(pixels), size)])
        for name, size in BATCHES.items()
    }


def texts(models: Path) -> dict[str, Any]:
    """Text features, and what the text tower says cosines are multiplied by."""
    from curate.tasks.models.towers import text_tower

    tower = text_tower(models / tiny.CLIP, "CPU")
    return {"text": tower.embed(inputs.TOWER_TEXTS), "logit_scale": np.array(tower.logit_scale)}


def distances(models: Path) -> dict[str, Any]:
    """LPIPS of the pairs."""
    from curate.tasks.models.vgg import lpips_model

    made = lpips_model(models / tiny.LPIPS, "CPU")
    features = [made.features(pair) for pair in inputs.pairs(inputs.photos())]
    return {"lpips": np.array([made.distance(a, b) for a, b in features])}


if __name__ == "__main__":
    sys.addaudithook(alone)
    folder, result = Path(sys.argv[1]), Path(sys.argv[2])
    parts = {"images": images, "texts": texts, "distances": distances}
    np.savez(result, **{name: array for part in sys.argv[3:] for name, array in parts[part](folder).items()})
