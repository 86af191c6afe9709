"""EfficientNet-Lite0 (Tan and Le 2019, arXiv 1905.11946): pictures as vectors, by ONNX Runtime.

The vector is what its authors' network has before the classes of ImageNet: 1280 means of features.
Normalisation is folded into the convolutions; the network is equal but for rounding.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from curate.tasks.models import checkpoint, verify
from curate.tasks.models.embeddings import unit
from curate.tasks.models.layouts import LITE0_BLOCKS
from curate.tasks.models.model_cache import cached_model
from curate.tasks.models.onnx_graph import OnnxGraph
from curate.tasks.models.onnx_session import onnx_session
from curate.tasks.models.preprocess import squeezed
from curate.tasks.video.geometry import RGB

Floats = NDArray[np.float32]

SIDE, WIDTH = 224, 1280  # pixels of a picture's sides, numbers of a vector
_STRIDES = (1, 2, 2, 2, 1, 2, 1)  # of the first block of each kind
_EPSILON = 1e-3  # of the normalisations
_MEAN, _SCALE = np.float32(127), np.float32(128)  # by which the authors prepare pictures


class EfficientNet:
    """The network of a folder. Created by `efficientnet`."""

    def __init__(self, folder: Path) -> None:
        file = verify.verified(folder, "efficientnet_lite0").file
        self._session = onnx_session(_graph(checkpoint.arrays(file)), "EfficientNet", file)
        self.revision = checkpoint.revision(file)
        """The first digits of the SHA-256 of its weights."""

    def embed(self, picture: RGB) -> Floats:
        """The whole picture (h, w, 3) as a vector (1280,) of unit length; NaN if it has none."""
        return unit(self.means(picture))

    def means(self, picture: RGB) -> Floats:
        """The same, not scaled: numbers from 0 to 6."""
        pixels = (squeezed(picture, SIDE).astype(np.float32) - _MEAN) / _SCALE
        (vectors,) = self._session.run(["means"], {"pixels": pixels.transpose(2, 0, 1)[None]})
        vector: Floats = vectors[0]
        return vector


def efficientnet(folder: Path) -> EfficientNet:
    """The network of a folder, shared within the process. Raises BadModel, PackageMissing."""
    return cached_model(EfficientNet, folder)


class _Layers:
    """A graph that grows by the layers of the published file."""

    def __init__(self, weights: Mapping[str, Floats]) -> None:
        self.graph = OnnxGraph("efficientnet-lite0")
        self._weights = weights
        self._ends = [self.graph.constant(np.float32(end)) for end in (0, 6)]

    def convolved(
        self, values: str, name: str, norm: str, stride: int = 1, bounded: bool = True
    ) -> str:
        """A convolution with its normalisation; `bounded`: cut off below 0 and above 6."""
        kernel = self._weights[f"{name}.weight"].astype(np.float64)
        keys = ("weight", "bias", "running_mean", "running_var")
        gain, bias, mean, variance = (self._weights[f"{norm}.{k}"].astype(np.float64) for k in keys)
        scale = gain / np.sqrt(variance + _EPSILON)
        parts = kernel * scale[:, None, None, None], bias - mean * scale
        side = kernel.shape[2]
        # as TensorFlow pads sides that are even: one less before than after, when it halves them
        pads = [(side - stride) // 2] * 2 + [side // 2] * 2
        out = self.graph.node(
            "Conv", values, *(self.graph.constant(part.astype(np.float32)) for part in parts),
            kernel_shape=[side, side], strides=[stride, stride], pads=pads,
            group=kernel.shape[0] if kernel.shape[1] == 1 else 1,  # each channel by itself
        )  # fmt: skip
        return self.graph.node("Clip", out, *self._ends) if bounded else out


def _graph(weights: Mapping[str, Floats]) -> bytes:
    """The network as ONNX, from `pixels` (1, 3, 224, 224) to `means` (1, 1280)."""
    layers = _Layers(weights)
    values = layers.graph.input("pixels", "float32", (1, 3, SIDE, SIDE))
    values = layers.convolved(values, "_conv_stem", "_bn0", stride=2)
    number, inputs = 0, 32
    for (count, _, widening, outputs), first in zip(LITE0_BLOCKS, _STRIDES, strict=True):
        for repeat in range(count):
            name, before = f"_blocks.{number}", values
            stride = 1 if repeat else first
            if widening > 1:
                values = layers.convolved(values, f"{name}._expand_conv", f"{name}._bn0")
            values = layers.convolved(
                values, f"{name}._depthwise_conv", f"{name}._bn1", stride=stride
            )
            values = layers.convolved(
                values, f"{name}._project_conv", f"{name}._bn2", bounded=False
            )
            if stride == 1 and inputs == outputs:
                values = layers.graph.node("Add", values, before)
            number, inputs = number + 1, outputs
    values = layers.convolved(values, "_conv_head", "_bn1")
    axes = layers.graph.integers(2, 3)
    layers.graph.output(
        layers.graph.node("ReduceMean", values, axes, keepdims=0), "means", (1, WIDTH)
    )
    return layers.graph.serialized()
