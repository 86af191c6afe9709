"""Networks and stages of curate on the inputs of the references: ``python -m tests.accuracy.cases
HOME RESULT.json``.

One process for all, for MindSpore takes seconds to start. Tests say what the found numbers must be.
Any attempt to reach another host, or to import torch, ends it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from curate.configs.settings import Settings
from tests import tiny, tiny_captioners
from tests.accuracy import run_captions, run_models, run_newer, run_stages
from tests.children import main

HOME = Path(sys.argv[1])


def saved(name: str, arrays: Mapping[str, Any]) -> str:
    """The file that arrays were written to."""
    np.savez(HOME / f"{name}.npz", **arrays)
    return str(HOME / f"{name}.npz")


def models() -> dict[str, Any]:
    """What the networks found."""
    folder = HOME / "models"
    return run_models.images(folder) | run_models.texts(folder) | run_models.distances(folder)


def stages() -> dict[str, Any]:
    """What the stages found."""
    return run_stages.run(Settings(home=HOME, device="CPU"))


def captions() -> dict[str, Any]:
    """What the captioners wrote, and where their arrays are."""
    texts, arrays = run_captions.run(HOME / "models")
    return texts | {"arrays": saved("captions", arrays)}


def newer() -> dict[str, Any]:
    """The same of Qwen3-VL and InternVL."""
    texts, arrays = run_newer.run(HOME / "models")
    return texts | {"arrays": saved("newer", arrays)}


if __name__ == "__main__":
    sys.addaudithook(run_models.alone)
    tiny.write_all(HOME / "models")
    tiny_captioners.write_all(HOME / "models")
    main({
        "home": lambda: str(HOME), "models": lambda: saved("models", models()),
        "stages": lambda: saved("stages", stages()), "captions": captions,
        "newer": newer,
    })  # fmt: skip
