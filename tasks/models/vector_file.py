"""Vectors in a file instead of in memory, in groups of which each grows by itself."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections import defaultdict
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Halves = NDArray[np.float16]

BLOCK = 128  # vectors of a group that lie behind each other
RUN = 2048  # vectors that are read at once; of BLOCK a multiple


class VectorFile:
    """Vectors of float16 in groups, in a file without a name in TMPDIR.

    The file ends with the process, and is read through the kernel's cache. Where a group has not
    filled its last block the file has a hole, which takes no space.
    """

    def __init__(self, width: int) -> None:
        file = tempfile.TemporaryFile(prefix="curate-")  # noqa: SIM115  see the next line
        self._close = weakref.finalize(self, file.close)
        self._file = file.fileno()
        self._width = width
        self._blocks: dict[int, list[int]] = defaultdict(list)  # of each group, by their place
        self._sizes: dict[int, int] = defaultdict(int)
        self._used = 0  # blocks

    def extend(self, group: int, vectors: Halves) -> None:
        """Append vectors (n, width) to a group."""
        while len(vectors):
            inside = self._sizes[group] % BLOCK
            if not inside:
                self._blocks[group].append(self._used)
                self._used += 1
            part = np.ascontiguousarray(vectors[: BLOCK - inside])
            at = self._place(self._blocks[group][-1]) + inside * self._width * part.itemsize
            written = part.data.cast("B")
            while written:
                done = os.pwrite(self._file, written, at)
                written, at = written[done:], at + done
            self._sizes[group] += len(part)
            vectors = vectors[len(part) :]

    def read(self, group: int) -> Iterator[tuple[int, Halves]]:
        """The vectors of a group in the order of adding, RUN at a time: the number of the first."""
        size = self._sizes.get(group, 0)
        for first in range(0, size, RUN):
            vectors: Halves = np.empty((min(RUN, size - first), self._width), np.float16)
            for start in range(0, len(vectors), BLOCK):
                block = self._blocks[group][(first + start) // BLOCK]
                part = vectors[start : start + BLOCK].data.cast("B")
                if os.preadv(self._file, [part], self._place(block)) != len(part):
                    raise OSError(f"{tempfile.gettempdir()}: a temporary file was cut short")
            yield first, vectors

    def _place(self, block: int) -> int:
        return block * BLOCK * self._width * np.dtype(np.float16).itemsize
