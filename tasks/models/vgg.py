"""LPIPS with VGG16 on MindSpore: how different two pictures look (Zhang et al. 2018).

arXiv 1801.03924. Each picture is scaled to -1 to 1, shifted and scaled by channel, and passed
through VGG16. After five of its layers the features are scaled to unit length at each position. The
distance is the sum over the five layers of the mean over all positions of the squared differences,
weighted by channel: the published package `lpips`, version 0.1, net="vgg".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.tasks.models import checkpoint, cpu_kernels, device, verify
from curate.tasks.models.device import Dtype, device_errors
from curate.tasks.models.model_cache import cached_model

Features = tuple[NDArray[np.float32], ...]

_SHIFT = np.array([-0.030, -0.088, -0.188], np.float32)
_SCALE = np.array([0.458, 0.448, 0.450], np.float32)
_TINY = 1e-10  # added to a length before dividing by it, as the package does
# numbers of the convolutions in torchvision's vgg16, by part; each part but the first begins with
# pooling
_PARTS = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))


class LpipsNetwork:
    """VGG16 and the weights of its channels. Created by `lpips_model`."""

    def __init__(self, folder: Path, setting: str, dtype: Dtype) -> None:
        self._device = device.start(setting)
        self._ms = device.mindspore()
        self._dtype = getattr(self._ms, self._device.weights_dtype(dtype))
        verified = verify.verified(folder, "lpips")
        weights = checkpoint.arrays(verified.file)
        self.revision = checkpoint.revision(verified.file)
        self._linear = [
            np.array(weights[f"lin{n}.model.1.weight"]).reshape(-1) for n in range(len(_PARTS))
        ]
        self._parts = [[self._convolution(weights, n) for n in numbers] for numbers in _PARTS]

    def _convolution(self, weights: Mapping[str, NDArray[Any]], number: int) -> Any:
        weight = np.array(weights[f"features.{number}.weight"])
        bias = np.array(weights[f"features.{number}.bias"])
        outputs, inputs = weight.shape[:2]
        cell = self._ms.mint.nn.Conv2d(inputs, outputs, 3, padding=1, dtype=self._dtype)
        cell.weight.set_data(self._ms.Tensor(weight, self._dtype))
        cell.bias.set_data(self._ms.Tensor(bias, self._dtype))
        return cpu_kernels.fitted(cell, self._device)

    def features(self, pictures: Sequence[NDArray[np.uint8]]) -> list[Features]:
        """The features of pictures (h, w, 3; RGB), to be used in any number of comparisons.

        Both sides of a picture must be at least 16 pixels long.
        """
        ms, features = self._ms, []
        for picture in pictures:
            scaled = (picture.astype(np.float32) / 127.5 - 1 - _SHIFT) / _SCALE
            units = []
            with device_errors(self._device):
                values = ms.Tensor(
                    np.ascontiguousarray(scaled.transpose(2, 0, 1)[None]), self._dtype
                )
                for number, part in enumerate(self._parts):
                    if number:
                        values = ms.ops.max_pool2d(values, 2, 2)
                    for convolution in part:
                        values = ms.ops.relu(convolution(values))
                    layer = values.astype(ms.float32).asnumpy()[0]
                    # to unit length over the channels
                    length = np.sqrt(np.square(layer).sum(axis=0, keepdims=True))
                    unit = layer / (length + np.float32(_TINY))
                    units.append(unit.astype(np.float32, copy=False))
            features.append(tuple(units))
        return features

    def distance(self, first: Features, second: Features) -> float:
        """LPIPS of two pictures: 0 (equal) or more, rarely above 1; lower is more alike."""
        total = 0.0
        for a, b, weights in zip(first, second, self._linear, strict=True):
            difference = (a - b).reshape(len(weights), -1)
            total += float(weights @ np.square(difference).mean(axis=1, dtype=np.float64))
        return total


def lpips_model(folder: Path, setting: str = "auto", dtype: Dtype = "auto") -> LpipsNetwork:
    """The LPIPS model of a folder, shared within the process.

    Raises BadModel, NoDevice, PackageMissing.
    """
    return cached_model(LpipsNetwork, folder, setting, dtype)
