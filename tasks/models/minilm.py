"""all-MiniLM-L6-v2 (sentence-transformers): texts as vectors, by ONNX Runtime.

It is a BERT (Devlin et al. 2019, arXiv 1810.04805) of 6 layers; the vector of a text is the mean
over its tokens, of unit length. Texts pass one by one, so none is padded and none needs a mask.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from curate.tasks.models import checkpoint
from curate.tasks.models.embeddings import unit
from curate.tasks.models.model_cache import cached_model
from curate.tasks.models.onnx_graph import OnnxGraph
from curate.tasks.models.onnx_session import onnx_session
from curate.tasks.models.tokenizer_file import read_tokenizer
from curate.tasks.models.verify import published_files

Floats = NDArray[np.float32]

MOST_TOKENS = 256  # of a text, both marks included: what the model was trained for
_HEADS = 12
_EPSILON = 1e-12  # of the normalisations


@dataclass(frozen=True)
class Sentence:
    """A text as the model sees it: a vector (width,) of unit length, and the text's tokens.

    `tokens` counts those of the whole text with both marks, of which MOST_TOKENS are read.
    """

    vector: Floats
    tokens: int


class MiniLm:
    """The network of a folder. Created by `minilm`."""

    def __init__(self, folder: Path) -> None:
        file, tokenizer, _ = published_files(folder, "minilm")
        self._tokenizer = read_tokenizer(tokenizer)
        self._tokenizer.no_padding()  # which the file asks for, to 128 tokens
        self._tokenizer.no_truncation()
        weights = checkpoint.arrays(file)
        # looked up here: in the graph, each process would hold a copy of half of the file
        self._words, self._places, (self._kind, _) = (
            weights[f"embeddings.{name}_embeddings.weight"]
            for name in ("word", "position", "token_type")
        )
        self._session = onnx_session(_graph(weights), "MiniLM", file)
        self.revision = checkpoint.revision(file)
        """The first digits of the SHA-256 of its weights."""

    def embed(self, text: str) -> Sentence:
        """A text as the model sees it; letters that the model does not know become [UNK]."""
        # a lone surrogate has no UTF-8
        ids = self._tokenizer.encode(text.encode("utf-8", "replace").decode()).ids
        read = ids if len(ids) <= MOST_TOKENS else [*ids[: MOST_TOKENS - 1], ids[-1]]
        tokens = self._words[read] + self._places[: len(read)] + self._kind
        (mean,) = self._session.run(["mean"], {"tokens": tokens})
        return Sentence(unit(mean), len(ids))


def minilm(folder: Path) -> MiniLm:
    """The network of a folder, shared within the process. Raises BadModel, PackageMissing."""
    return cached_model(MiniLm, folder)


class _Bert:
    """A graph that grows by the parts of a BERT, under the names of the published file."""

    def __init__(self, weights: Mapping[str, Floats]) -> None:
        self.graph = OnnxGraph("minilm")
        self._weights = weights

    def linear(self, values: str, name: str, scale: float = 1) -> str:
        """A linear layer, its outputs times `scale`."""
        matrix, bias = (self._weights[f"{name}.{part}"] for part in ("weight", "bias"))
        product = self.graph.node("MatMul", values, self._number(matrix.T * np.float32(scale)))
        return self.graph.node("Add", product, self._number(bias * np.float32(scale)))

    def normalised(self, values: str, name: str) -> str:
        """A LayerNorm."""
        ends = (self._number(self._weights[f"{name}.{part}"]) for part in ("weight", "bias"))
        return self.graph.node("LayerNormalization", values, *ends, epsilon=_EPSILON)

    def attended(self, values: str, name: str) -> str:
        """What each token takes of all others, by every head."""
        width = len(self._weights[f"{name}.query.bias"])
        by_head = self.graph.integers(-1, _HEADS, width // _HEADS)
        query, key, value = (
            self.graph.node("Reshape", self.linear(values, f"{name}.{part}", scale), by_head)
            for part, scale in (("query", (width // _HEADS) ** -0.5), ("key", 1), ("value", 1))
        )
        query, value = (self.graph.node("Transpose", v, perm=[1, 0, 2]) for v in (query, value))
        likeness = self.graph.node(
            "MatMul", query, self.graph.node("Transpose", key, perm=[1, 2, 0])
        )
        taken = self.graph.node("MatMul", self.graph.node("Softmax", likeness), value)
        together = self.graph.node("Transpose", taken, perm=[1, 0, 2])
        return self.graph.node("Reshape", together, self.graph.integers(-1, width))

    def _number(self, values: Floats | np.float32) -> str:
        return self.graph.constant(values)


def _graph(weights: Mapping[str, Floats]) -> bytes:
    """The network as ONNX, from `tokens` (any, width) to `mean` (width,)."""
    layers = _Bert(weights)
    width = len(weights["embeddings.LayerNorm.bias"])
    values = layers.graph.input("tokens", "float32", (None, width))
    values = layers.normalised(values, "embeddings.LayerNorm")
    number = 0
    while f"{(name := f'encoder.layer.{number}')}.output.dense.bias" in weights:
        taken = layers.linear(
            layers.attended(values, f"{name}.attention.self"), f"{name}.attention.output.dense"
        )
        values = layers.normalised(
            layers.graph.node("Add", values, taken), f"{name}.attention.output.LayerNorm"
        )
        wide = layers.graph.gelu(layers.linear(values, f"{name}.intermediate.dense"))
        made = layers.linear(wide, f"{name}.output.dense")
        values = layers.normalised(
            layers.graph.node("Add", values, made), f"{name}.output.LayerNorm"
        )
        number += 1
    mean = layers.graph.node("ReduceMean", values, layers.graph.integers(0), keepdims=0)
    layers.graph.output(mean, "mean", (width,))
    return layers.graph.serialized()
