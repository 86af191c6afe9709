"""What LLaVA 1.5 and its offspring have in common: the projector, and a conversation with pictures
in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import numpy as np

from curate.tasks.captioners.language import Decoder, Floats, Loader
from curate.tasks.captioners.writing import Beginning


class Projector:
    """States of patches to what a language model takes for words: two layers, GELU between them."""

    def __init__(self, loader: Loader, names: tuple[str, str]) -> None:
        self._first, self._second = (self._layer(loader, name) for name in names)
        self._gelu = loader.ms.nn.GELU(approximate=False)

    def __call__(self, states: Any) -> Any:
        """The states, in the width of the language model; both are tensors."""
        return self._second(self._gelu(self._first(states)))

    @staticmethod
    def _layer(loader: Loader, name: str) -> Any:
        outputs, inputs = loader.weights.tensors[f"{name}.weight"].shape
        return loader.built(lambda: loader.ms.nn.Dense(inputs, outputs), f"{name}.")


def conversation(
    decoder: Decoder, parts: Sequence[Sequence[int]], pictures: Sequence[Floats]
) -> Beginning:
    """Parts of a text, each in numbers, with what is seen (words, width) between them: one picture
    less than parts.
    """
    pieces: list[Floats] = []
    for part, picture in zip_longest(parts, pictures):
        pieces += [decoder.embed(part)] if picture is None else [decoder.embed(part), picture]
    embedded = np.concatenate(pieces)
    return Beginning(embedded, np.arange(len(embedded))[None], len(embedded))
