"""LoRA merged into the matrices it changes, when they are read: W + alpha / rank · B · A."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.tasks.captioners.pllava_layout import Naming
from curate.tasks.models.weights import Weights


class Merged(Weights):
    """Weights whose changed matrices are read with their change in them; they cost memory, for they
    are no map.
    """

    def __init__(self, weights: Weights, names: Naming, alpha: float) -> None:
        super().__init__(weights.folder)
        self._scale = alpha / names.rank
        self._base = names.base

    def arrays(self, names: Sequence[str]) -> list[NDArray[Any]]:
        return [
            self._merged(name, found)
            for name, found in zip(names, super().arrays(names), strict=True)
        ]

    def _merged(self, name: str, found: NDArray[Any]) -> NDArray[Any]:
        stem = name.removesuffix(".weight").removesuffix(self._base)
        pair = [f"{stem}.lora_{letter}.default.weight" for letter in "AB"]
        if pair[0] not in self.tensors:
            return found
        down, up = (a.astype(np.float32) for a in super().arrays(pair))
        return np.asarray(found, np.float32) + np.float32(self._scale) * (up @ down)


def merged(weights: Weights, names: Naming, alpha: float) -> Weights:
    """The weights with their LoRA merged; the same ones where they have none."""
    return Merged(weights, names, alpha) if names.rank else weights
