"""Hamming distances between 64-bit hashes, and a searchable table of hash pairs.

Two words within t bits of each other differ by at most t // 4 bits in one of their four quarters of
16 bits. An index of rows by each quarter therefore leaves a few thousand rows of a million to
compare in full. The result is the same as from comparing all.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.tasks.video.hash_pair import HashPair

Words = NDArray[np.uint64]
Rows = NDArray[np.intp]


def popcount_by_sums(words: Words) -> NDArray[np.uint8]:
    """How many bits of each word are set, 5 times as fast as by a table.

    Adds neighbouring groups of 1, 2 and 4 bits, then all bytes.
    """
    sums = words - (words >> np.uint64(1) & np.uint64(0x5555555555555555))
    twos = np.uint64(0x3333333333333333)
    sums = (sums & twos) + (sums >> np.uint64(2) & twos)
    sums = sums + (sums >> np.uint64(4)) & np.uint64(0x0F0F0F0F0F0F0F0F)
    counts: Words = sums * np.uint64(0x0101010101010101) >> np.uint64(56)
    return counts.astype(np.uint8)


popcount = getattr(np, "bitwise_count", popcount_by_sums)  # numpy 2 has it

WIDEST = 15  # bits up to which an index is faster than comparing all


def grown(array: NDArray[Any], length: int) -> NDArray[Any]:
    """The array, or a copy of at least twice its length with room for `length` items."""
    while len(array) < length:
        array = np.concatenate([array, np.zeros_like(array)])
    return array


@cache
def _within(bits: int) -> NDArray[np.uint16]:
    """All words of 16 bits with at most `bits` bits set."""
    return np.flatnonzero(popcount(np.arange(1 << 16, dtype=np.uint64)) <= bits).astype(np.uint16)


class QuarterIndex:
    """An immutable index of rows by each quarter of their word: 16 bytes a row, plus 1 MB."""

    def __init__(self, words: Words, rows: Rows) -> None:
        quarters = words.view(np.uint16).reshape(-1, 4)
        self._rows: list[NDArray[np.uint32]] = []
        self._starts: list[NDArray[np.uint32]] = []
        for quarter in range(4):
            keys = quarters[:, quarter]
            self._rows.append(rows[np.argsort(keys, kind="stable")].astype(np.uint32))
            counts = np.bincount(keys, minlength=1 << 16)
            self._starts.append(np.concatenate([[0], np.cumsum(counts)]).astype(np.uint32))

    def near(self, word: int, threshold: int) -> Rows:
        """All rows within `threshold` bits of a word, and some that are further away.

        A row may come more than once.
        """
        # the radii sum to threshold - 3, so a word with every quarter beyond its radius differs by
        # more than the threshold
        radius, remainder = divmod(threshold + 1, 4)
        near = []
        for quarter in range(4):
            bits = radius if quarter < remainder else radius - 1
            if bits < 0:
                continue
            keys = _within(bits) ^ np.uint16(word >> 16 * quarter & 0xFFFF)
            starts = self._starts[quarter]
            first = starts[keys].astype(np.intp)
            sizes = starts[keys.astype(np.intp) + 1] - first
            ends = np.cumsum(sizes)
            # of the rows of all keys: first[0], first[0] + 1, …, first[1], first[1] + 1, …
            positions = np.arange(ends[-1]) + np.repeat(first - ends + sizes, sizes)
            near.append(self._rows[quarter][positions])
        rows: Rows = np.concatenate(near).astype(np.intp)
        return rows


class HashTable:
    """Hash pairs of surviving clips, in the order of adding: some 35 bytes a clip.

    With `frames` = ``both`` the distance of two clips is the larger one of their frames, of those
    that both clips have a hash of; with ``first`` it is that of the first frames. Tables shorter
    than `index_from` rows, and rows added since the index was last made, are compared one by one.
    """

    def __init__(self, frames: str = "both", index_from: int = 20_000) -> None:
        self.frames = frames
        self._index_from = index_from
        self._length = 0
        self._words = [np.zeros(1024, np.uint64) for _ in range(2)]
        self._has_hash = [np.zeros(1024, np.bool_) for _ in range(2)]
        self._index: QuarterIndex | None = None  # of the first frames of rows before _indexed
        self._indexed = 0
        # rows before _indexed that have no hash of the first frame
        self._without_first: Rows = np.zeros(0, np.intp)

    def __len__(self) -> int:
        return self._length

    def extend(self, pairs: Sequence[HashPair]) -> None:
        """Append clips."""
        end = self._length + len(pairs)
        self._words = [grown(array, end) for array in self._words]
        self._has_hash = [grown(array, end) for array in self._has_hash]
        new = slice(self._length, end)
        for column, texts in enumerate(([p.first for p in pairs], [p.middle for p in pairs])):
            self._words[column][new] = [int(text, 16) if text else 0 for text in texts]
            self._has_hash[column][new] = [bool(text) for text in texts]
        self._length = end

    def truncate(self, length: int) -> None:
        """Forget all clips after the first `length`."""
        self._length = min(length, self._length)
        if self._indexed > self._length:
            self._index, self._indexed = None, 0

    def earliest_within(self, pair: HashPair, threshold: int) -> tuple[int, int] | None:
        """Place and distance (0 to 64 bits) of the earliest clip within `threshold`, or None."""
        texts = [pair.first] if self.frames == "first" else [pair.first, pair.middle]
        near = self._candidates(pair.first, threshold)
        worst = np.zeros(len(near), np.uint8)
        compared = np.zeros(len(near), np.bool_)
        for column, text in enumerate(texts):
            if text is None:
                continue
            has_hash = self._has_hash[column][near]
            differing = popcount(self._words[column][near] ^ np.uint64(int(text, 16)))
            distance = np.where(has_hash, differing, 0)
            within = distance <= threshold  # few rows remain for the second frame
            worst, compared = np.maximum(worst, distance)[within], (compared | has_hash)[within]
            near = near[within]
        near, worst = near[compared], worst[compared]
        if not len(near):
            return None
        earliest = int(np.argmin(near))
        return int(near[earliest]), int(worst[earliest])

    def _candidates(self, first: str | None, threshold: int) -> Rows:
        """The rows to compare, in any order."""
        if first is None or self._length < self._index_from or threshold > WIDEST:
            return np.arange(self._length)
        unindexed = self._length - self._indexed  # compared one by one
        if self._index is None or unindexed > max(1024, self._length // 200):
            has_hash = self._has_hash[0][: self._length]
            rows = np.flatnonzero(has_hash)
            self._without_first = np.flatnonzero(~has_hash)
            self._index = QuarterIndex(self._words[0][rows], rows)
            self._indexed = self._length
        tail = np.arange(self._indexed, self._length)
        return np.concatenate(
            [self._index.near(int(first, 16), threshold), self._without_first, tail]
        )
