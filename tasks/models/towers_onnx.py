"""CLIP's image and text towers on ONNX Runtime, for CPUs (Radford et al. 2021, arXiv 2103.00020).

Weights are inputs of the graph, so they stay mapped from their file: processes share them, and
none copies them. The rows of all pictures or texts of a pass lie one after the other; nothing is
padded. A text ends with its end mark, which is all that the tower's output depends on: its mask
hides later tokens from earlier ones. For the same reason the last layer makes the rows alone that
the output is made of: each text's end, each picture's class token.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.tasks.models import checkpoint, device, layouts, verify
from curate.tasks.models.clip_tower import Floats, ImageTower, TextTower, logit_scale
from curate.tasks.models.onnx_graph import OnnxGraph
from curate.tasks.models.onnx_session import onnx_session
from curate.tasks.models.tokens import Tokens

_TEXT_ROWS = 256  # of a pass; they see each other's masked rows, so more cost more than they save
_PICTURE_ROWS = 512  # 10 pictures of ViT-B/32, one of ViT-L/14: more make it no faster

Axes = tuple[int, int]  # of a Reshape: sequences and rows of each; -1: as many as there are


class _Tower:
    """A tower as a graph that grows, the weights that are inputs of it, and its session."""

    def __init__(self, folder: Path, name: str) -> None:
        verified = verify.verified(folder, "clip")
        self.file, self.name = verified.file, f"{name}_model"
        self.revision = checkpoint.revision(self.file)
        self.width = int(verified.config.get("projection_dim", 512))
        self.sizes = layouts.tower(verified.config, name)
        self._activation, self._epsilon = layouts.tower_layers(verified.config, name)
        projection = f"{'text' if name == 'text' else 'visual'}_projection.weight"
        names = [n for n in verified.tensors if n.startswith((f"{self.name}.", projection))]
        self.weights = checkpoint.arrays(self.file, names)
        self.graph = OnnxGraph(self.name)
        self._given: dict[str, NDArray[Any]] = {}
        self._projection = projection

    def weight(self, name: str) -> str:
        """A weight, as an input of the graph."""
        self._given[name] = self.weights[name]
        return self.graph.input(name, "float32", self._given[name].shape)

    def linear(self, values: str, name: str) -> str:
        """A linear layer of rows (n, inputs)."""
        ends = (self.weight(f"{name}.{part}") for part in ("weight", "bias"))
        return self.graph.node("Gemm", values, *ends, transB=1)

    def normalised(self, values: str, name: str) -> str:
        """A LayerNorm."""
        ends = (self.weight(f"{name}.{part}") for part in ("weight", "bias"))
        return self.graph.node("LayerNormalization", values, *ends, epsilon=self._epsilon)

    def attended(
        self, rows: str, asking: str, name: str, axes: tuple[Axes, Axes], mask: str | None
    ) -> str:
        """What the rows `asking` take of all `rows`, by every head; `axes` are those of both."""
        heads = self.sizes["num_attention_heads"]
        head = self.sizes["hidden_size"] // heads
        shapes = [self.graph.integers(*one, heads, head) for one in axes]
        query, key, value = (
            self.graph.node("Reshape", self.linear(given, f"{name}.{part}_proj"), shape)
            for part, given, shape in (
                ("q", asking, shapes[1]), ("k", rows, shapes[0]), ("v", rows, shapes[0])
            )
        )  # fmt: skip
        query = self.graph.node("Mul", query, self.graph.constant(np.float32(head**-0.5)))
        query, value = (self.graph.node("Transpose", v, perm=[0, 2, 1, 3]) for v in (query, value))
        key = self.graph.node("Transpose", key, perm=[0, 2, 3, 1])
        likeness = self.graph.node("MatMul", query, key)
        if mask:
            likeness = self.graph.node("Add", likeness, mask)
        taken = self.graph.node("MatMul", self.graph.node("Softmax", likeness), value)
        together = self.graph.node("Transpose", taken, perm=[0, 2, 1, 3])
        joined = self.graph.node("Reshape", together, self.graph.integers(-1, heads * head))
        return self.linear(joined, f"{name}.out_proj")

    def activated(self, values: str) -> str:
        """The activation between the two layers of a block, by its name in config.json."""
        if self._activation == "gelu":
            return self.graph.gelu(values)
        steep = self.graph.node("Mul", values, self.graph.constant(np.float32(1.702)))
        return self.graph.node("Mul", values, self.graph.node("Sigmoid", steep))

    def finish(self, rows: str, axes: tuple[Axes, Axes], norm: str, mask: str | None) -> None:
        """Encode the rows and make the session: it takes `ends`, the rows that tell the output.

        `axes` are those of all rows, and of those at `ends`; `norm` is the last LayerNorm.
        """
        ends = self.graph.input("ends", "int64", (None,))
        count = self.sizes["num_hidden_layers"]
        for number in range(count):
            name = f"{self.name}.encoder.layers.{number}"
            seen = asking = self.normalised(rows, f"{name}.layer_norm1")
            asked = axes[0]
            if number == count - 1:
                rows, asking = (self.graph.node("Gather", v, ends) for v in (rows, seen))
                mask, asked = mask and self.graph.node("Gather", mask, ends), axes[1]
            taken = self.attended(seen, asking, f"{name}.self_attn", (axes[0], asked), mask)
            rows = self.graph.node("Add", rows, taken)
            wide = self.linear(self.normalised(rows, f"{name}.layer_norm2"), f"{name}.mlp.fc1")
            made = self.linear(self.activated(wide), f"{name}.mlp.fc2")
            rows = self.graph.node("Add", rows, made)
        last = self.normalised(rows, f"{self.name}.{norm}")
        made = self.graph.node("Gemm", last, self.weight(self._projection), transB=1)
        self.graph.output(made, "embeddings", (None, self.width))
        source = self.graph.serialized()
        self._session = onnx_session(source, "CLIP", self.file, device.threads())

    def run(self, ends: NDArray[np.int64], **inputs: NDArray[Any]) -> Floats:
        """The embeddings (n, width) of a pass, of the rows `ends`."""
        # one row alone would take another way through matrix products, with other last digits
        ends_given = ends if len(ends) > 1 else np.repeat(ends, 2)
        given = {**self._given, **inputs, "ends": ends_given}
        made: Floats = self._session.run(["embeddings"], given)[0]
        return made[: len(ends)]


class OnnxImageTower(ImageTower):
    """The image tower on ONNX Runtime."""

    def __init__(self, folder: Path, batch: int | None = None) -> None:
        self._tower = tower = _Tower(folder, "vision")
        self.revision, self.side = tower.revision, tower.sizes["image_size"]
        patch, width = tower.sizes["patch_size"], tower.sizes["hidden_size"]
        self._rows = layouts.positions(tower.sizes)
        self.batch = batch or max(1, _PICTURE_ROWS // self._rows)
        graph, embeddings = tower.graph, f"{tower.name}.embeddings"
        pixels = graph.input("pixels", "float32", (None, None, self.side, self.side))
        patches = graph.node(
            "Conv", pixels, tower.weight(f"{embeddings}.patch_embedding.weight"),
            kernel_shape=[patch, patch], strides=[patch, patch],
        )  # fmt: skip
        by_patch = graph.node("Reshape", patches, graph.integers(0, width, -1))
        by_patch = graph.node("Transpose", by_patch, perm=[0, 2, 1])
        # a class token before each picture: zeros, to which it is added with the positions
        pads = graph.integers(0, 1, 0, 0, 0, 0)
        places = np.array(tower.weights[f"{embeddings}.position_embedding.weight"])
        places[0] += tower.weights[f"{embeddings}.class_embedding"]
        rows = graph.node("Add", graph.node("Pad", by_patch, pads), graph.constant(places))
        rows = graph.node("Reshape", rows, graph.integers(-1, width))
        rows = tower.normalised(rows, f"{tower.name}.pre_layrnorm")
        tower.finish(rows, ((-1, self._rows), (-1, 1)), "post_layernorm", None)

    def embed(self, pixels: Floats) -> Floats:
        """As ImageTower."""
        made = [np.zeros((0, self._tower.width), np.float32)]
        for start in range(0, len(pixels), self.batch):
            some = pixels[start : start + self.batch]
            made.append(self._tower.run(np.arange(len(some)) * self._rows, pixels=some))
        return np.concatenate(made)


class OnnxTextTower(TextTower):
    """The text tower on ONNX Runtime."""

    def __init__(self, folder: Path) -> None:
        self._tower = tower = _Tower(folder, "text")
        self.revision, self.logit_scale = tower.revision, logit_scale(tower.file)
        self._tokens = Tokens(folder, tower.sizes["vocab_size"])
        self._words, self._places = (
            tower.weights[f"{tower.name}.embeddings.{name}_embedding.weight"]
            for name in ("token", "position")
        )
        rows = tower.graph.input("rows", "float32", (None, self._words.shape[1]))
        mask = tower.graph.input("mask", "float32", (None, None))
        tower.finish(rows, ((1, -1), (1, -1)), "final_layer_norm", mask)

    def embed(self, texts: Sequence[str]) -> Floats:
        """As TextTower."""
        made = [np.zeros((0, self._tower.width), np.float32)]
        # the end mark is the largest number, and after the first one nothing is read
        tokens = self._tokens.encode(texts, len(self._places))
        lengths = tokens.argmax(axis=1) + 1
        start = 0
        while start < len(texts):
            fits = np.searchsorted(np.cumsum(lengths[start:]), _TEXT_ROWS, "right")
            stop = start + max(1, int(fits))
            made.append(self._pass(tokens[start:stop], lengths[start:stop]))
            start = stop
        return np.concatenate(made)

    def _pass(self, tokens: NDArray[np.int32], lengths: NDArray[np.int64]) -> Floats:
        """The embeddings of texts whose first `lengths` tokens are read."""
        text, place = np.nonzero(np.arange(tokens.shape[1]) < lengths[:, None])
        sees = (text[:, None] == text) & (place[:, None] >= place)
        return self._tower.run(
            np.cumsum(lengths) - 1,
            rows=self._words[tokens[text, place]] + self._places[place],
            mask=np.where(sees, np.float32(0), np.float32(-np.inf)),
        )
