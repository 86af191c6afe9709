"""Small networks that score CLIP ViT-L/14 embeddings: NumPy, microseconds per clip."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from curate.tasks.models import checkpoint, verify
from curate.tasks.models.embeddings import of_clip
from curate.tasks.models.layouts import HEAD_WIDTH
from curate.tasks.models.model_cache import cached_model
from curate.tasks.stage import Clip

Floats = NDArray[np.float32]
Layers = tuple[tuple[Floats, Floats], ...]  # weight and bias of each layer


class Head(ABC):
    """A network that scores embeddings."""

    @abstractmethod
    def score(self, embeddings: Floats) -> Floats:
        """Scores (n,) of unit embeddings (n, 768)."""

    def frame_scores(self, clip: Clip, model: str, stage: str) -> Floats:
        """Scores (frames,) of the stored embeddings of a clip. Raises EmbeddingMissing."""
        return self.score(of_clip(clip, model, stage, HEAD_WIDTH).vectors)


class AestheticHead(Head):
    """LAION's aesthetic predictor: five linear layers without activations.

    Dropout between them is only for training. Created by `aesthetic_head`.
    """

    def __init__(self, folder: Path) -> None:
        arrays = checkpoint.arrays(verify.verified(folder, "aesthetic").file)
        self._layers = _layers(arrays, [f"layers.{n}" for n in (0, 2, 4, 6, 7)])

    def score(self, embeddings: Floats) -> Floats:
        """Scores (n,) of unit embeddings (n, 768): about 1 to 10, higher is better."""
        values = embeddings
        for weight, bias in self._layers:
            values = values @ weight.T + bias
        return values[:, 0]


class NsfwHead(Head):
    """LAION's NSFW detector: four linear layers with ReLU between them.

    The embedding is normalised by a fixed mean and variance first. Created by `nsfw_head`.
    """

    def __init__(self, folder: Path) -> None:
        arrays = checkpoint.arrays(verify.verified(folder, "nsfw").file)
        self._mean = np.array(arrays["norm.mean"])
        self._variance = np.array(arrays["norm.variance"])
        self._layers = _layers(arrays, [f"linear_{n}" for n in (1, 2, 3, 4)])

    def score(self, embeddings: Floats) -> Floats:
        """Probabilities (n,) of unit embeddings (n, 768): 0 to 1, higher is less safe."""
        values = (embeddings - self._mean) / np.sqrt(self._variance)
        for weight, bias in self._layers[:-1]:
            values = np.maximum(values @ weight.T + bias, 0)
        weight, bias = self._layers[-1]
        logits = values @ weight.T + bias
        small = np.exp(-np.abs(logits))  # never overflows
        sigmoid = np.where(logits >= 0, 1 / (1 + small), small / (1 + small)).astype(np.float32)
        return sigmoid[:, 0]


def aesthetic_head(folder: Path) -> AestheticHead:
    """The predictor of a folder, shared within the process. Raises BadModel."""
    return cached_model(AestheticHead, folder)


def nsfw_head(folder: Path) -> NsfwHead:
    """The detector of a folder, shared within the process. Raises BadModel."""
    return cached_model(NsfwHead, folder)


def _layers(arrays: Mapping[str, Floats], names: list[str]) -> Layers:
    """The linear layers, copied from the mapped file."""
    return tuple(
        (np.array(arrays[f"{name}.weight"]), np.array(arrays[f"{name}.bias"])) for name in names
    )
