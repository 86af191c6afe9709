"""Vectors in a file instead of in memory, in groups of which each grows by itself."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK = 128  # vectors of a group that lie behind each other


class VectorFile:
    """Vectors of one kind of number in groups, in a file without a name in TMPDIR.

    The file ends with the process, and is read through the kernel's cache. Where a group has not
    filled its last block the file has a hole, which takes no space.
    """

    def __init__(self, width: int, kind: Any) -> None:
        file = tempfile.TemporaryFile(prefix="curate-")  # noqa: SIM115  see the next line
        self._close = weakref.finalize(self, file.close)
        self._file = file.fileno()
        self._width = width
        self._kind = np.dtype(kind)
        self._bytes = width * self._kind.itemsize  # of a vector
        self._blocks: dict[int, list[int]] = defaultdict(list)  # of each group, by their place
        self._sizes: dict[int, int] = defaultdict(int)
        self._used = 0  # blocks

    def extend(self, group: int, vectors: NDArray[Any]) -> None:
        """Append vectors (n, width) to a group."""
        while len(vectors):
            number = self._sizes[group]
            if number % BLOCK == 0:
                self._blocks[group].append(self._used)
                self._used += 1
            part = np.ascontiguousarray(vectors[: BLOCK - number % BLOCK], self._kind)
            at, left = self._place(group, number), part.data.cast("B")
            while left:
                written = os.pwrite(self._file, left, at)
                left, at = left[written:], at + written
            self._sizes[group] += len(part)
            vectors = vectors[len(part) :]

    def read(self, group: int, first: int, count: int) -> NDArray[Any]:
        """The vectors of a group from number `first` on, in the order of adding: at most `count`,
        a multiple of BLOCK as `first` is.
        """
        size = max(min(self._sizes[group] - first, count), 0)
        starts = range(0, size, BLOCK)
        return self._read(group, size, [(start, first + start) for start in starts], BLOCK)

    def take(self, group: int, numbers: Sequence[int]) -> NDArray[Any]:
        """The vectors with these numbers of a group."""
        return self._read(group, len(numbers), list(enumerate(numbers)), 1)

    def _read(
        self, group: int, size: int, places: Sequence[tuple[int, int]], length: int
    ) -> NDArray[Any]:
        vectors = np.empty((size, self._width), self._kind)
        for start, number in places:
            part = vectors[start : start + length].data.cast("B")
            if os.preadv(self._file, [part], self._place(group, number)) != len(part):
                raise OSError(f"a temporary file in {tempfile.gettempdir()} was cut short")
        return vectors

    def _place(self, group: int, number: int) -> int:
        block, inside = divmod(number, BLOCK)
        return (self._blocks[group][block] * BLOCK + inside) * self._bytes
