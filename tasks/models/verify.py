"""Checks whether a folder holds the model that a stage needs, by headers alone, for all kinds.

A header distinguishes a complete file from a truncated one and a model from another, so `enqueue`
checks all weights in milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from shlex import quote
from typing import Any

from curate.configs.errors import BadModel
from curate.tasks.models import catalog
from curate.tasks.models.catalog import CAPTIONERS, Captioner, ModelKind, Need
from curate.tasks.models.checkpoint import (
    CONFIG,
    WEIGHTS,
    Tensor,
    digest,
    header,
    problems,
    read_config,
)
from curate.tasks.models.layouts import BadConfig, expected, optional
from curate.tasks.models.weights import TOKENIZER, Weights

PIECES = "tokenizer.model"  # SentencePiece's, which ShareGPT4V uses
# the authors of ShareGPT4V allow the second in place of the first
MODEL_TYPES = ("share4v", "llava")
TOWER_TYPES = ("clip_vision_model", "clip")


@dataclass(frozen=True)
class Verified:
    """A model whose header is valid.

    Its config.json ({} if there is none), its file, and its tensors by name.
    """

    config: Mapping[str, Any]
    file: Path
    tensors: Mapping[str, Tensor]


def missing(needs: Iterable[Need], model_folder: Path) -> list[str]:
    """A line for each need whose weights are missing or have a wrong header.

    It says what, where, why, and what to do.
    """
    lines = []
    for need in dict.fromkeys(needs):
        folder = catalog.folder_of(need.model, model_folder)
        if not folder.exists():
            reason = f"there is no folder {folder}"
        else:
            try:
                check(folder, need.kind, catalog.tower_of(need, model_folder))
            except BadModel as error:
                reason = f"{error.fields['path']}: {error.fields['why']}"
            else:
                continue
        lines.append(f"{need.model}: {reason}; get it with: {catalog.how_to_get(need, folder)}")
    return lines


def check(folder: Path, kind: ModelKind, tower: Path | None = None) -> None:
    """Raise BadModel unless a folder holds, as far as headers tell, a model of this kind.

    `tower` is the folder of its image tower, if published separately; None means the one that its
    config names.
    """
    if kind == "sharegpt4v":
        check_sharegpt4v(folder, tower)
    elif kind in catalog.CAPTIONERS:
        check_captioner(folder, kind)
    elif kind in catalog.AS_PUBLISHED:
        published_files(folder, kind)
    else:
        verified(folder, kind)


def verified(folder: Path, kind: ModelKind) -> Verified:
    """The model in a folder, with everything but the numbers themselves checked.

    Raises BadModel if the folder holds no model of this kind, its file is not a complete
    safetensors file, or a tensor is missing, left over, or has another shape or type.
    """
    file = _weights_file(folder)
    config = read_config(folder / CONFIG) if kind == "clip" else {}
    if kind == "clip":
        names = {p.name for p in folder.iterdir() if p.is_file() and p.stat().st_size}
        if TOKENIZER not in names and not {"vocab.json", "merges.txt"} <= names:
            why = "it holds no tokenizer.json, nor vocab.json with merges.txt"
            raise BadModel(path=folder, why=why)
    tensors = header(file)
    try:
        needed, allowed = expected(kind, config), optional(kind, config)
    except BadConfig as error:
        raise BadModel(path=folder / CONFIG, why=str(error)) from None
    wrong = list(problems(tensors, needed, allowed))
    if wrong:
        raise BadModel(path=file, why=f"{'; '.join(wrong)} (expected a model of kind {kind})")
    return Verified(config, file, tensors)


def published_files(folder: Path, kind: ModelKind) -> list[Path]:
    """The files of a model that is used as published, in the order of the catalogue.

    Raises BadModel if one is missing, or not the published one by its SHA-256.
    """
    model = next(model for model in catalog.CATALOG.values() if model.kind == kind)
    files = [folder / download.name for download in model.files]
    for file, download in zip(files, model.files, strict=True):
        if not file.is_file():
            raise BadModel(path=folder, why=f"it holds no {download.name}")
        if digest(file) != download.sha256:
            raise BadModel(path=file, why="its SHA-256 is not that of the published file")
    return files


def _weights_file(folder: Path) -> Path:
    if not folder.is_dir():
        why = "it is not a folder" if folder.exists() else "there is no such folder"
        raise BadModel(path=folder, why=why)
    file = folder / WEIGHTS
    if file.is_file():
        return file
    suffixes = (".bin", ".pt", ".pth", ".ckpt", ".safetensors")
    others = sorted(p.name for p in folder.iterdir() if p.suffix in suffixes)
    why = f"it holds no {WEIGHTS}"
    if others:
        other = quote(str(folder / others[0]))
        why += f"; convert what is there with: `curate models convert {other}`"
    raise BadModel(path=folder, why=why)


def check_captioner(folder: Path, kind: Captioner) -> None:
    """Raise BadModel unless a folder holds complete files, a tokenizer, and a config of this kind.

    Whether all tensors are there, in their shapes, is checked when the captioner is created.
    """
    model_type = str(Weights(folder).config.get("model_type"))[:40]
    if kind != "pllava" and model_type != kind:
        raise BadModel(path=folder / CONFIG, why=f"model_type is {model_type}, not {kind}")
    if not (folder / TOKENIZER).is_file():
        raise BadModel(path=folder, why=f"it holds no {TOKENIZER}")


def captioner_of(config: Mapping[str, Any]) -> Captioner | None:
    """The captioner whose config.json this is; None if it is none's."""
    family = config.get("model_type")
    if "mm_vision_tower" in config and family in MODEL_TYPES:
        return "sharegpt4v"
    if family in ("pllava", "llava"):
        return "pllava"
    return next((name for name in CAPTIONERS if name == family), None)


def check_sharegpt4v(folder: Path, tower: Path | None) -> None:
    """Raise BadModel unless both folders of a ShareGPT4V hold complete files and valid configs.

    The folders are those of its language model and its image tower.
    """
    weights = Weights(folder)
    check_type(weights, MODEL_TYPES)
    if not (folder / PIECES).is_file():
        raise BadModel(path=folder, why=f"it holds no {PIECES}")
    check_type(Weights(tower_folder(folder, weights.config, tower)), TOWER_TYPES)


def check_type(weights: Weights, types: tuple[str, ...]) -> None:
    """Raise BadModel unless the config says one of these types."""
    model_type = str(weights.config.get("model_type"))[:40]
    if model_type not in types:
        why = f"model_type is {model_type}, not {' or '.join(types)}"
        raise BadModel(path=weights.folder / CONFIG, why=why)


def tower_folder(folder: Path, config: Mapping[str, Any], given: Path | None = None) -> Path:
    """The folder of ShareGPT4V's image tower: `given`, or the one that the config names.

    The latter is looked for beside the model's folder and in it. Raises BadModel if there is none.
    """
    if given is not None:
        return given
    name = config.get("mm_vision_tower")
    last = PurePosixPath(name).name if isinstance(name, str) else ""
    if last in ("", ".."):
        raise BadModel(path=folder / CONFIG, why="mm_vision_tower is no name of an image tower")
    for tower in (folder.parent / last, folder / last):
        if tower.is_dir():
            return tower
    raise BadModel(path=folder, why=f"its image tower {last[:100]} is neither beside nor in it")
