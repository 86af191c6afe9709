"""TransNetV2 (Souček and Lokoč 2020, arXiv 2008.04838): where shots end, and which frames fade.

Its convolutions over three dimensions are pairs: one over the picture, one over time, at 1, 2, 4
and 8 frames' distance. Here the frames of a window lie below each other in one tall picture, with a
row of zeros between them, so that both are convolutions over two dimensions. Normalisation is
folded into the second. The networks are equal to the published one but for rounding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from curate.tasks.models import checkpoint, verify
from curate.tasks.models.layouts import TRANSNET_FILTERS, TRANSNET_STEPS
from curate.tasks.models.model_cache import cached_model
from curate.tasks.models.onnx_graph import OnnxGraph
from curate.tasks.models.onnx_session import onnx_session

Floats = NDArray[np.float32]
Frames = NDArray[np.uint8]  # window x 27 x 48 x 3, RGB

WINDOW, CONTEXT = 100, 25  # frames seen at once, and those at each end that others tell better
WIDTH, HEIGHT = 48, 27
LOOK = 101  # frames with which each is compared: itself, 50 before and 50 after
_EPSILON = 1e-3  # of the normalisations
_TINY = 1e-12


class TransNet(Protocol):
    """The network, on some engine."""

    window: int

    def predict(self, frames: Frames) -> tuple[Floats, Floats]:
        """Two probabilities of each frame of a window, (window,): that it is the last of a shot or
        the middle of a transition; and that it belongs to a transition.
        """


@dataclass(frozen=True)
class Block:
    """Four convolutions over the picture, in one, and four over time, by their distance."""

    spatial: Floats  # 4 x 2 filters, inputs, 3, 3
    temporal: Mapping[int, tuple[Floats, Floats]]  # filters, 2 filters, 3, 1; and their biases


def blocks(weights: Mapping[str, Floats]) -> list[tuple[Block, Block]]:
    """The three pairs of blocks, with normalisation folded in."""
    pairs = []
    for stage, filters in enumerate(TRANSNET_FILTERS):
        pair = []
        for number in range(2):
            name = f"SDDCNN.{stage}.DDCNN.{number}."
            norm = {
                key: weights[f"{name}bn.{key}"].astype(np.float64)
                for key in ("weight", "bias", "running_mean", "running_var")
            }
            scale = norm["weight"] / np.sqrt(norm["running_var"] + _EPSILON)
            bias = norm["bias"] - norm["running_mean"] * scale
            spatial, temporal = [], {}
            for place, step in enumerate(TRANSNET_STEPS):
                part = slice(place * filters, (place + 1) * filters)
                spatial.append(weights[f"{name}Conv3D_{step}.layers.0.weight"][:, :, 0])
                over_time = weights[f"{name}Conv3D_{step}.layers.1.weight"][..., 0]
                scaled = over_time * scale[part, None, None, None]
                temporal[step] = scaled.astype(np.float32), bias[part].astype(np.float32)
            pair.append(Block(np.concatenate(spatial), temporal))
        pairs.append((pair[0], pair[1]))
    return pairs


def histograms(frames: Frames) -> Floats:
    """The colours of each frame counted, (window, 512): 8 values of red, green and blue each."""
    bins = (frames >> 5).astype(np.int32)
    codes = (bins[..., 0] << 6) + (bins[..., 1] << 3) + bins[..., 2]
    rows = codes.reshape(len(frames), -1)
    return np.stack([np.bincount(row, minlength=512) for row in rows]).astype(np.float32)


def neighbours(window: int) -> NDArray[np.int64]:
    """Of each frame, the columns of its similarities, with half a look of zeros at both ends."""
    return np.arange(window)[:, None] + np.arange(LOOK)[None]


def not_between(window: int, rows: int) -> Floats:
    """A mask (1, 1, window x rows, 1) that makes the last row of each frame zero."""
    mask = np.ones((window, rows), np.float32)
    mask[:, -1] = 0
    return mask.reshape(1, 1, -1, 1)


class OnnxTransNet:
    """TransNetV2 on ONNX Runtime. Created by `onnx_transnet`."""

    def __init__(self, folder: Path, window: int = WINDOW) -> None:
        file = verify.verified(folder, "transnetv2").file
        graph = _graph(checkpoint.arrays(file), window)
        self.window = window
        self._session = onnx_session(graph, "Finding cuts by a network", file)

    def predict(self, frames: Frames) -> tuple[Floats, Floats]:
        """As `TransNet.predict`."""
        inputs = {"frames": frames, "histograms": histograms(frames)}
        cuts, transitions = self._session.run(["cuts", "transitions"], inputs)
        return cuts[:, 0], transitions[:, 0]


def onnx_transnet(folder: Path) -> OnnxTransNet:
    """The network of a folder on ONNX Runtime, shared within the process.

    Raises BadModel, PackageMissing.
    """
    return cached_model(OnnxTransNet, folder)


def _graph(weights: Mapping[str, Floats], window: int) -> bytes:
    """The network as ONNX, of inputs `frames` and `histograms`."""
    graph = OnnxGraph("transnetv2")
    frames = graph.input("frames", "uint8", (window, HEIGHT, WIDTH, 3))
    counts = graph.input("histograms", "float32", (window, 512))
    pixels = graph.node("Transpose", graph.node("Cast", frames, to=1), perm=[3, 0, 1, 2])
    pixels = graph.node("Div", pixels, graph.constant(np.float32(255)))
    pixels = graph.node("Pad", pixels, graph.integers(0, 0, 0, 0, 0, 0, 1, 0))
    rows, columns = HEIGHT + 1, WIDTH
    tall = graph.node("Reshape", pixels, graph.integers(1, 3, window * rows, columns))
    means: list[str] = []
    inside = ""
    for stage, pair in enumerate(blocks(weights)):
        mask = graph.constant(not_between(window, rows))
        first = graph.node("Mul", _block(graph, pair[0], tall, rows), mask)
        tall = graph.node("Add", _block(graph, pair[1], first, rows), first)
        last, pool = stage == 2, {"kernel_shape": [2, 2], "strides": [2, 2]}
        if not last:
            tall = graph.node("AveragePool", tall, **pool)
            rows, columns = rows // 2, columns // 2
            tall = graph.node("Mul", tall, graph.constant(not_between(window, rows)))
        shape = graph.integers(4 * TRANSNET_FILTERS[stage], window, rows, columns)
        inside = graph.node("Reshape", tall, shape)
        ends = (graph.integers(0), graph.integers(rows - 1), graph.integers(2))
        inside = graph.node("Slice", inside, *ends)
        if last:
            inside = graph.node("AveragePool", inside, **pool)
        means.append(graph.node("ReduceMean", inside, graph.integers(2, 3), keepdims=0))
    flat = graph.node("Transpose", inside, perm=[1, 2, 3, 0])
    flat = graph.node("Reshape", flat, graph.integers(window, -1))
    features = graph.node("Transpose", graph.node("Concat", *means, axis=0), perm=[1, 0])
    projected = _linear(graph, features, weights, "frame_sim_layer.projection")
    alike = [
        _alike(graph, counts, weights, "color_hist_layer", window),
        _alike(graph, projected, weights, "frame_sim_layer", window),
    ]
    hidden = _linear(graph, graph.node("Concat", *alike, flat, axis=1), weights, "fc1")
    hidden = graph.node("Relu", hidden)
    for name, layer in (("cuts", "cls_layer1"), ("transitions", "cls_layer2")):
        logits = _linear(graph, hidden, weights, layer)
        graph.output(graph.node("Sigmoid", logits), name, (window, 1))
    return graph.serialized()


def _block(graph: OnnxGraph, block: Block, tall: str, rows: int) -> str:
    """A block's output of a tall picture with so many rows a frame."""
    wide = graph.node(
        "Conv", tall, graph.constant(block.spatial), kernel_shape=[3, 3], pads=[1, 1, 1, 1]
    )
    count = len(block.temporal)
    parts = graph.split("Split", [wide], count, axis=1, num_outputs=count)
    outputs = []
    for part, (step, (kernel, bias)) in zip(parts, block.temporal.items(), strict=True):
        far = rows * step
        at = {"kernel_shape": [3, 1], "dilations": [far, 1], "pads": [far, 0, far, 0]}
        outputs.append(graph.node("Conv", part, *map(graph.constant, (kernel, bias)), **at))
    return graph.node("Relu", graph.node("Concat", *outputs, axis=1))


def _linear(graph: OnnxGraph, values: str, weights: Mapping[str, Floats], layer: str) -> str:
    names: Sequence[Any] = [weights[f"{layer}.{part}"] for part in ("weight", "bias")]
    return graph.node("Gemm", values, *map(graph.constant, names), transB=1)


def _alike(
    graph: OnnxGraph, values: str, weights: Mapping[str, Floats], layer: str, window: int
) -> str:
    """What a layer makes of the cosines of each frame with its neighbours."""
    lengths = graph.node("ReduceL2", values, graph.integers(1), keepdims=1)
    lengths = graph.node("Max", lengths, graph.constant(np.float32(_TINY)))
    units = graph.node("Div", values, lengths)
    cosines = graph.node("MatMul", units, graph.node("Transpose", units, perm=[1, 0]))
    half = LOOK // 2
    padded = graph.node("Pad", cosines, graph.integers(0, half, 0, half))
    near = graph.node("GatherElements", padded, graph.constant(neighbours(window)), axis=1)
    return graph.node("Relu", _linear(graph, near, weights, f"{layer}.fc"))
