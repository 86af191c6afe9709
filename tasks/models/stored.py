"""Tensors that stay in their files until they are read, so that only one is in memory at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.tasks.models.layouts import DTYPES, Shape, strange


@dataclass(frozen=True)
class Stored:
    """A tensor in a file: its type as in DTYPES, and the runs of bytes (start, length) it occupies.

    `offset` and `strides` count numbers from the start of the runs; strides None means contiguous.
    """

    file: Path
    dtype: str
    shape: Shape
    runs: tuple[tuple[int, int], ...]
    offset: int = 0
    strides: Shape | None = None

    def read(self) -> NDArray[Any]:
        """The numbers as a contiguous array of the shape, BF16 as uint16."""
        if not math.prod(self.shape):
            return np.zeros(self.shape, DTYPES[self.dtype])
        dtype = np.dtype(DTYPES[self.dtype])
        parts = [
            np.memmap(self.file, dtype, "r", start, (length // dtype.itemsize,))
            for start, length in self.runs
            if length
        ]
        numbers = np.asarray(parts[0] if len(parts) == 1 else np.concatenate(parts))[self.offset :]
        if self.strides is None:
            numbers = numbers[: math.prod(self.shape)]
        else:
            steps = [n * dtype.itemsize for n in self.strides]
            numbers = np.lib.stride_tricks.as_strided(numbers, self.shape, steps)
        return np.ascontiguousarray(numbers).reshape(self.shape)


Tensors = Mapping[str, Stored]


def fits(offset: int, shape: Shape, strides: Shape, count: int) -> bool:
    """Whether a view stays within `count` numbers.

    A view of more numbers than there are (strides of 0) does not fit: no checkpoint has one, and it
    could fill the memory.
    """
    if strange(shape) or len(shape) != len(strides) or min((offset, *shape, *strides)) < 0:
        return False
    if not math.prod(shape):
        return True
    last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    return last < count and math.prod(shape) <= count
