"""The models that stages need: what each is, where its weights are looked for, and how to get them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["clip", "aesthetic", "nsfw", "lpips"]


@dataclass(frozen=True)
class Need:
    """Weights that a stage needs. `model` is a folder below the model folder, or the path of any folder."""

    kind: Kind
    model: str


def folder_of(model: str, model_folder: Path) -> Path:
    """Where the weights of a model are looked for: a path is taken as it is, a name below the model folder."""
    return Path(model).expanduser() if "/" in model else model_folder / model
