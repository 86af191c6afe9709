"""The small networks that judge a CLIP ViT-L/14 embedding: a few matrix products in NumPy,
microseconds a clip.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from curate.tasks.models import checkpoint, verify
from curate.tasks.models.kept import kept

Floats = NDArray[np.float32]

WIDTH = 768  # of the embeddings that both heads were trained on


@dataclass(frozen=True)
class Aesthetic:
    """LAION's predictor: five linear layers with nothing between them (the dropout is for training
    only).
    """

    layers: tuple[tuple[Floats, Floats], ...]

    @classmethod
    def load(cls, folder: Path) -> Aesthetic:
        """The predictor in a folder, shared within the process. Raises BadModel."""
        return kept(_aesthetic, folder)

    def score(self, embeddings: Floats) -> Floats:
        """Scores (n,), about 1 to 10, higher is better, of embeddings (n, 768) of unit length."""
        found = embeddings
        for weight, bias in self.layers:
            found = found @ weight.T + bias
        return found[:, 0]


@dataclass(frozen=True)
class Nsfw:
    """LAION's detector: the embedding normalised by fixed mean and variance, four linear layers,
    ReLU between them.
    """

    mean: Floats
    variance: Floats
    layers: tuple[tuple[Floats, Floats], ...]

    @classmethod
    def load(cls, folder: Path) -> Nsfw:
        """The detector in a folder, shared within the process. Raises BadModel."""
        return kept(_nsfw, folder)

    def score(self, embeddings: Floats) -> Floats:
        """Probabilities (n,), 0 to 1, higher is less safe, of embeddings (n, 768) of unit length."""
        found = (embeddings - self.mean) / np.sqrt(self.variance)
        for weight, bias in self.layers[:-1]:
            found = np.maximum(found @ weight.T + bias, 0)
        weight, bias = self.layers[-1]
        return _sigmoid(found @ weight.T + bias)[:, 0]


def _sigmoid(x: Floats) -> Floats:
    small = np.exp(-np.abs(x))  # never overflows
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small)).astype(np.float32)


def _aesthetic(folder: Path) -> Aesthetic:
    found = checkpoint.arrays(verify.verified(folder, "aesthetic").file)
    return Aesthetic(_linears(found, [f"layers.{n}" for n in (0, 2, 4, 6, 7)]))


def _nsfw(folder: Path) -> Nsfw:
    found = checkpoint.arrays(verify.verified(folder, "nsfw").file)
    layers = _linears(found, [f"linear_{n}" for n in (1, 2, 3, 4)])
    return Nsfw(np.array(found["norm.mean"]), np.array(found["norm.variance"]), layers)


def _linears(found: Mapping[str, Floats], names: list[str]) -> tuple[tuple[Floats, Floats], ...]:
    return tuple(
        (np.array(found[f"{name}.weight"]), np.array(found[f"{name}.bias"])) for name in names
    )
