"""The two folders of ShareGPT4V, which are published apart: language model with projector, and
image tower.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from curate.configs.errors import BadModel
from curate.tasks.captioners.weights import Weights
from curate.tasks.models.checkpoint import CONFIG

PIECES = "tokenizer.model"
MODEL_TYPES = (
    "share4v",
    "llava",
)  # its authors say that the second may be written in the place of the first
TOWER_TYPES = ("clip_vision_model", "clip")


def tower_folder(folder: Path, config: Mapping[str, Any], given: Path | None = None) -> Path:
    """The folder of the image tower: the one given, or that of the name in the config, beside the
    model's or in it.

    Raises BadModel where there is none.
    """
    if given is not None:
        return given
    name = config.get("mm_vision_tower")
    last = PurePosixPath(name).name if isinstance(name, str) else ""
    if last in ("", ".."):
        raise BadModel(path=folder / CONFIG, why="mm_vision_tower is no name of an image tower")
    found = next((path for path in (folder.parent / last, folder / last) if path.is_dir()), None)
    if found is None:
        raise BadModel(path=folder, why=f"its image tower {last[:100]} is neither beside nor in it")
    return found


def check_folders(folder: Path, tower: Path | None) -> None:
    """Raise BadModel unless both folders hold whole files, and configs that say what they are.
    Takes milliseconds.
    """
    weights = Weights(folder)
    check_type(weights, MODEL_TYPES)
    if not (folder / PIECES).is_file():
        raise BadModel(path=folder, why=f"it holds no {PIECES}")
    check_type(Weights(tower_folder(folder, weights.config, tower)), TOWER_TYPES)


def check_type(weights: Weights, types: tuple[str, ...]) -> None:
    """Raise BadModel unless the config says one of these types."""
    found = str(weights.config.get("model_type"))[:40]
    if found not in types:
        raise BadModel(
            path=weights.folder / CONFIG, why=f"model_type is {found}, not {' or '.join(types)}"
        )
