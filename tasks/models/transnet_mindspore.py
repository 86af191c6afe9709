"""TransNetV2 on MindSpore, for NPUs: the same weights and the same tall picture as on ONNX Runtime.

Nothing here was run on an NPU; on the CPU it equals the other form.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.tasks.models import checkpoint, device, verify
from curate.tasks.models.device import device_errors
from curate.tasks.models.layouts import TRANSNET_FILTERS
from curate.tasks.models.model_cache import cached_model
from curate.tasks.models.transnet import (
    HEIGHT,
    LOOK,
    WIDTH,
    WINDOW,
    Block,
    Floats,
    Frames,
    blocks,
    histograms,
    neighbours,
    not_between,
)


class MindSporeTransNet:
    """TransNetV2 on MindSpore. Created by `mindspore_transnet`."""

    def __init__(self, folder: Path, setting: str, window: int = WINDOW) -> None:
        self._device = device.start(setting)
        self._ms = device.mindspore()
        weights = checkpoint.arrays(verify.verified(folder, "transnetv2").file)
        self.window = window
        self._rows = (HEIGHT + 1, (HEIGHT + 1) // 2, (HEIGHT + 1) // 4)
        self._masks = [self._tensor(not_between(window, rows)) for rows in self._rows]
        self._blocks = [
            [self._cells(block, rows) for block in pair]
            for pair, rows in zip(blocks(weights), self._rows, strict=True)
        ]
        self._weights = {
            name: self._tensor(values)
            for name, values in weights.items()
            if not name.startswith("SDDCNN")
        }
        self._near = self._ms.Tensor(neighbours(window).astype(np.int32))

    def predict(self, frames: Frames) -> tuple[Floats, Floats]:
        """As `TransNet.predict`."""
        ms, window = self._ms, self.window
        scaled = (frames.astype(np.float32) / 255).transpose(3, 0, 1, 2)
        tall = np.pad(scaled, ((0, 0), (0, 0), (0, 1), (0, 0)))
        with device_errors(self._device):
            flat, features = self._features(self._tensor(tall.reshape(1, 3, -1, WIDTH)))
            projected = self._linear(features, "frame_sim_layer.projection")
            counts = self._tensor(histograms(frames))
            alike = [
                self._alike(counts, "color_hist_layer"),
                self._alike(projected, "frame_sim_layer"),
            ]
            hidden = ms.ops.relu(self._linear(ms.ops.concat((*alike, flat), 1), "fc1"))
            cuts, transitions = (
                ms.ops.sigmoid(self._linear(hidden, layer)).asnumpy().reshape(window)
                for layer in ("cls_layer1", "cls_layer2")
            )
        return cuts, transitions

    def _features(self, tall: Any) -> tuple[Any, Any]:
        """Of each frame: the last features, and the means of all three pairs of blocks."""
        ms, window, columns = self._ms, self.window, WIDTH
        inside, means = None, []
        for stage, (pair, mask) in enumerate(zip(self._blocks, self._masks, strict=True)):
            first = self._run(pair[0], tall) * mask
            tall = self._run(pair[1], first) + first
            channels, rows, last = 4 * TRANSNET_FILTERS[stage], self._rows[stage], stage == 2
            if not last:
                tall = ms.ops.avg_pool2d(tall, 2, 2) * self._masks[stage + 1]
                rows, columns = self._rows[stage + 1], columns // 2
            inside = tall.reshape(channels, window, rows, columns)[:, :, : rows - 1]
            if last:
                inside = ms.ops.avg_pool2d(inside, 2, 2)
            means.append(inside.mean((2, 3)))
        flat = ms.ops.transpose(inside, (1, 2, 3, 0)).reshape(window, -1)
        return flat, ms.ops.transpose(ms.ops.concat(means, 0), (1, 0))

    def _run(self, block: tuple[Any, list[Any]], tall: Any) -> Any:
        spatial, temporal = block
        parts = self._ms.ops.chunk(spatial(tall), len(temporal), 1)
        outputs = [cell(part) for cell, part in zip(temporal, parts, strict=True)]
        return self._ms.ops.relu(self._ms.ops.concat(outputs, 1))

    def _alike(self, values: Any, layer: str) -> Any:
        """What a layer makes of the cosines of each frame with its neighbours."""
        ms = self._ms
        lengths = ms.ops.sqrt((values * values).sum(1, keepdims=True))
        units = values / ms.ops.maximum(lengths, ms.Tensor(1e-12, ms.float32))
        cosines = ms.ops.matmul(units, units.T)
        zeros = ms.ops.zeros((self.window, LOOK // 2), ms.float32)
        near = ms.ops.gather_elements(ms.ops.concat((zeros, cosines, zeros), 1), 1, self._near)
        return ms.ops.relu(self._linear(near, f"{layer}.fc"))

    def _linear(self, values: Any, layer: str) -> Any:
        product = self._ms.ops.matmul(values, self._weights[f"{layer}.weight"].T)
        return product + self._weights[f"{layer}.bias"]

    def _tensor(self, values: NDArray[Any]) -> Any:
        return self._ms.Tensor(np.array(values, np.float32))

    def _cells(self, block: Block, rows: int) -> tuple[Any, list[Any]]:
        """The convolutions of a block, over the picture and over time."""
        spatial = self._convolution(block.spatial, None, {"padding": 1})
        temporal = []
        for step, (kernel, bias) in block.temporal.items():
            far = rows * step
            at: Mapping[str, Any] = {"padding": (far, far, 0, 0), "dilation": (far, 1)}
            temporal.append(self._convolution(kernel, bias, at))
        return spatial, temporal

    def _convolution(self, kernel: Floats, bias: Floats | None, at: Mapping[str, Any]) -> Any:
        outputs, inputs, *window = kernel.shape
        cell = self._ms.nn.Conv2d(
            inputs, outputs, tuple(window), pad_mode="pad", has_bias=bias is not None, **at
        )
        cell.weight.set_data(self._tensor(kernel))
        if bias is not None:
            cell.bias.set_data(self._tensor(bias))
        return cell


def mindspore_transnet(folder: Path, setting: str) -> MindSporeTransNet:
    """The network of a folder on MindSpore, shared within the process.

    Raises BadModel, NoDevice, PackageMissing.
    """
    return cached_model(MindSporeTransNet, folder, setting)
