"""LPIPS with VGG16: how different two pictures look (Zhang et al. 2018).

arXiv 1801.03924. Each picture is scaled to -1 to 1, shifted and scaled by channel, and passed
through VGG16. After five of its layers the features are scaled to unit length at each position. The
distance is the sum over the five layers of the mean over all positions of the squared differences,
weighted by channel: the published package `lpips`, version 0.1, net="vgg".

An NPU runs it by MindSpore, a CPU by ONNX Runtime where that is installed: its convolutions cost
what torch's do, those that MindSpore can run on a CPU more than twice that.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.tasks.models import checkpoint, cpu_kernels, device, verify
from curate.tasks.models.device import Dtype, device_errors
from curate.tasks.models.model_cache import cached_model
from curate.tasks.models.onnx_graph import OnnxGraph
from curate.tasks.models.onnx_session import on_onnx, onnx_session

Floats = NDArray[np.float32]
Features = tuple[Floats, ...]

_SHIFT = np.array([-0.030, -0.088, -0.188], np.float32)
_SCALE = np.array([0.458, 0.448, 0.450], np.float32)
_TINY = 1e-10  # added to a length before dividing by it, as the package does
# numbers of the convolutions in torchvision's vgg16, by part; each part but the first begins with
# pooling
_PARTS = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))


class LpipsNetwork(ABC):
    """VGG16 and the weights of its channels. Created by `lpips_model`."""

    def __init__(self, folder: Path) -> None:
        self._file = verify.verified(folder, "lpips").file
        self._weights = checkpoint.arrays(self._file)
        self.revision = checkpoint.revision(self._file)
        self._linear = [
            np.array(self._weights[f"lin{n}.model.1.weight"]).reshape(-1)
            for n in range(len(_PARTS))
        ]

    def features(self, pictures: Sequence[NDArray[np.uint8]]) -> list[Features]:
        """The features of pictures (h, w, 3; RGB), to be used in any number of comparisons.

        Both sides of a picture must be at least 16 pixels long.
        """
        scaled = ((p.astype(np.float32) / 127.5 - 1 - _SHIFT) / _SCALE for p in pictures)
        return [self._units(np.ascontiguousarray(s.transpose(2, 0, 1)[None])) for s in scaled]

    @abstractmethod
    def _units(self, picture: Floats) -> Features:
        """The five features of a scaled picture (1, 3, h, w), each (channels, rows, columns) and of
        unit length over the channels.
        """

    def distance(self, first: Features, second: Features) -> float:
        """LPIPS of two pictures: 0 (equal) or more, rarely above 1; lower is more alike."""
        total = 0.0
        for a, b, weights in zip(first, second, self._linear, strict=True):
            difference = (a - b).reshape(len(weights), -1)
            total += float(weights @ np.square(difference).mean(axis=1, dtype=np.float64))
        return total


class OnnxLpips(LpipsNetwork):
    """LPIPS on ONNX Runtime, for CPUs."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._session = onnx_session(_graph(self._weights), "LPIPS", self._file)
        del self._weights  # the session holds them

    def _units(self, picture: Floats) -> Features:
        return tuple(layer[0] for layer in self._session.run(None, {"picture": picture}))


def _graph(weights: Mapping[str, Floats]) -> bytes:
    """The network as ONNX, from `picture` (1, 3, any, any) to its five features."""
    graph = OnnxGraph("lpips")
    values = graph.input("picture", "float32", (1, 3, None, None))
    tiny, channels = graph.constant(np.float32(_TINY)), graph.integers(1)
    for part, numbers in enumerate(_PARTS):
        if part:
            values = graph.node("MaxPool", values, kernel_shape=[2, 2], strides=[2, 2])
        for number in numbers:
            filters = (weights[f"features.{number}.{name}"] for name in ("weight", "bias"))
            ends = map(graph.constant, filters)
            values = graph.node("Conv", values, *ends, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
            values = graph.node("Relu", values)
        length = graph.node("Add", graph.node("ReduceL2", values, channels, keepdims=1), tiny)
        width = len(weights[f"features.{numbers[-1]}.bias"])
        graph.output(graph.node("Div", values, length), f"layer{part}", (1, width, None, None))
    return graph.serialized()


class MindSporeLpips(LpipsNetwork):
    """LPIPS on MindSpore, for NPUs."""

    def __init__(self, folder: Path, setting: str, dtype: Dtype) -> None:
        self._device = device.start(setting)
        self._ms = device.mindspore()
        self._dtype = getattr(self._ms, self._device.weights_dtype(dtype))
        super().__init__(folder)
        self._parts = [[self._convolution(n) for n in numbers] for numbers in _PARTS]

    def _convolution(self, number: int) -> Any:
        weight, bias = (
            np.array(self._weights[f"features.{number}.{name}"]) for name in ("weight", "bias")
        )
        outputs, inputs = weight.shape[:2]
        cell = self._ms.mint.nn.Conv2d(inputs, outputs, 3, padding=1, dtype=self._dtype)
        cell.weight.set_data(self._ms.Tensor(weight, self._dtype))
        cell.bias.set_data(self._ms.Tensor(bias, self._dtype))
        return cpu_kernels.fitted(cell, self._device)

    def _units(self, picture: Floats) -> Features:
        ms, units = self._ms, []
        with device_errors(self._device):
            values = ms.Tensor(picture, self._dtype)
            for number, part in enumerate(self._parts):
                if number:
                    values = ms.ops.max_pool2d(values, 2, 2)
                for convolution in part:
                    values = ms.ops.relu(convolution(values))
                layer = values.astype(ms.float32).asnumpy()[0]
                length = np.sqrt(np.square(layer).sum(axis=0, keepdims=True))
                unit = layer / (length + np.float32(_TINY))
                units.append(unit.astype(np.float32, copy=False))
        return tuple(units)


def lpips_model(folder: Path, setting: str = "auto", dtype: Dtype = "auto") -> LpipsNetwork:
    """The LPIPS model of a folder, shared within the process, by ONNX Runtime or MindSpore.

    Raises BadModel, NoDevice, PackageMissing.
    """
    if on_onnx("lpips", setting):
        return cached_model(OnnxLpips, folder)
    return cached_model(MindSporeLpips, folder, setting, dtype)
