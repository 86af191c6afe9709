"""Replaces cells and functions whose kernels MindSpore lacks on the CPU; other devices keep them.

Each entry names the version that needs it; tests/tasks/models/test_cpu_kernels.py fails once an
entry is no longer needed. Weights are shared, and parameters keep their names.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.tasks.models.device import Device, mindspore


@dataclass(frozen=True)
class MissingKernel:
    """A cell class of `mindspore.mint.nn` that `fitted` replaces.

    Also the newest version known to need the replacement.
    """

    cell: str
    needed_by: str
    kernel: str  # as named in MindSpore's error


MISSING_KERNELS = (
    MissingKernel("Conv2d", "2.10.0", "Conv2DExt"),
    MissingKernel("LayerNorm", "2.10.0", "LayerNormExt"),
    MissingKernel("GELU", "2.10.0", "GeluExt"),
)


def fill_in(model: Any, device: Device) -> None:
    """Replace, in place, the cells of a model that this device cannot run."""
    for _, parent in list(model.cells_and_names()):
        for name, cell in list(parent.name_cells().items()):
            fit = fitted(cell, device)
            if fit is not cell:
                setattr(parent, name, fit)
        if isinstance(parent, mindspore().nn.SequentialCell):
            # the cell runs this copy of its own
            parent.cell_list = tuple(parent.name_cells().values())


def fitted(cell: Any, device: Device) -> Any:
    """The cell itself, or its replacement on this device; weights are shared, not copied."""
    ms = mindspore()
    nn = ms.mint.nn
    if device.target != "CPU":
        return cell
    if type(cell) is nn.Conv2d:
        if cell.groups != 1 or set(_pair(cell.dilation)) != {1}:
            raise NotImplementedError("convolution with groups or dilation on the CPU")
        return convolution()(cell.weight, cell.bias, _pair(cell.stride), _pair(cell.padding))
    if type(cell) is nn.LayerNorm:
        if len(cell.normalized_shape) != 1:
            raise NotImplementedError("normalization over several axes on the CPU")
        return normalization()(cell.weight, cell.bias, cell.eps)
    if type(cell) is nn.GELU:
        return ms.nn.GELU(approximate=cell.approximate == "tanh")
    # mindone's own
    match f"{type(cell).__module__}.{type(cell).__name__}".removeprefix("mindone.transformers."):
        case "activations.GELUTanh" | "activations.GELUActivation" as name:
            return ms.nn.GELU(approximate=name.endswith("Tanh"))
        case "models.qwen2.modeling_qwen2.Qwen2RMSNorm":
            return root_mean_square()(cell.weight, cell.variance_epsilon)
    return cell


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)


@cache
def convolution() -> Any:
    """A cell class that computes a convolution as one matrix product over unfolded windows.

    It shares its weight. It does not use mindspore.nn.Conv2d: with AVX-512, oneDNN (3.10.1) falls
    back to a reference loop that is 60 times slower than with AVX2.
    """
    ms = mindspore()

    class Convolution(ms.nn.Cell):  # type: ignore[misc, name-defined]
        """As `mint.nn.Conv2d` with neither groups nor dilation: (n, channels, rows, columns)."""

        def __init__(
            self, weight: Any, bias: Any, stride: tuple[int, int], padding: tuple[int, int]
        ) -> None:
            super().__init__()
            self.weight = weight
            self.bias = bias
            self.stride = stride
            self.padding = padding

        def construct(self, x: Any) -> Any:
            outputs, _, *window = self.weight.shape
            sides = zip(x.shape[2:], self.padding, window, self.stride, strict=True)
            rows, columns = (
                (size + 2 * edge - reach) // step + 1 for size, edge, reach, step in sides
            )
            windows = ms.ops.unfold(x, tuple(window), 1, self.padding, self.stride)
            if len(x) == 1:
                windows = windows[0]  # a 2D product takes half the time
            product = ms.ops.matmul(self.weight.reshape((outputs, -1)), windows)
            if self.bias is not None:
                product = product + self.bias.reshape((-1, 1))
            return product.reshape((len(x), outputs, rows, columns))

    return Convolution


@cache
def normalization() -> Any:
    """A cell class: layer normalization over the last axis, with shared weights."""
    ms = mindspore()

    class Normalization(ms.nn.Cell):  # type: ignore[misc, name-defined]
        """As `mint.nn.LayerNorm` of one axis."""

        def __init__(self, weight: Any, bias: Any, epsilon: float) -> None:
            super().__init__()
            self.weight = weight
            self.bias = bias
            self.norm = ms.ops.LayerNorm(-1, -1, epsilon)

        def construct(self, x: Any) -> Any:
            return self.norm(x, self.weight, self.bias)[0]

    return Normalization


@cache
def root_mean_square() -> Any:
    """A cell class: division by the root mean square of the last axis, with a shared weight."""
    ms = mindspore()

    class RootMeanSquare(ms.nn.Cell):  # type: ignore[misc, name-defined]
        """As mindone's Qwen2RMSNorm, whose kernel RmsNorm is missing."""

        def __init__(self, weight: Any, epsilon: float) -> None:
            super().__init__()
            self.weight = weight
            self.epsilon = epsilon

        def construct(self, x: Any) -> Any:
            squares = (x * x).mean(-1, keep_dims=True)
            return x * ms.ops.rsqrt(squares + self.epsilon) * self.weight

    return RootMeanSquare


class Mint:
    """`mindspore.mint` for a module of mindone's on the CPU, with two functions made by NumPy.

    Only that module uses it. The two functions make small constants when a model is built and at
    the start of a pass.
    """

    def __getattr__(self, name: str) -> Any:
        return getattr(mindspore().mint, name)

    def arange(self, *bounds: float, dtype: Any = None) -> Any:
        """As mint.arange with start, end and step; integers unless a bound or `dtype` is not."""
        return _constant(np.arange(*bounds), dtype)

    def full(self, size: Any, fill_value: Any, *, dtype: Any = None) -> Any:
        """As mint.full."""
        return _constant(np.full(tuple(size), fill_value), dtype)


def _constant(array: NDArray[Any], dtype: Any) -> Any:
    ms = mindspore()
    return ms.Tensor(array, dtype or (ms.float32 if array.dtype.kind == "f" else ms.int64))


def use_mint(module: Any, device: Device) -> None:
    """Make a module use versions of `mindspore.mint` functions that run on this device."""
    if device.target == "CPU" and not isinstance(module.mint, Mint):
        module.mint = Mint()
