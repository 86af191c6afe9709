"""Hamming distances between 64-bit hashes, and an append-only table of hash pairs to search.

Two words within t bits of each other differ by at most t // 4 bits in one of their four quarters of
16 bits. So an index of rows by each quarter leaves a few thousand of a million to compare. Those
are compared in full, so the result is that of comparing all.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from curate.tasks.video.hash_pair import HashPair

Words = NDArray[np.uint64]
Rows = NDArray[np.intp]


def popcount_by_sums(words: Words) -> NDArray[np.uint8]:
    """Sums of 2, 4 and 8 bits side by side, then of all bytes: 5 times as fast as a table."""
    sums = words - (words >> np.uint64(1) & np.uint64(0x5555555555555555))
    twos = np.uint64(0x3333333333333333)
    sums = (sums & twos) + (sums >> np.uint64(2) & twos)
    sums = sums + (sums >> np.uint64(4)) & np.uint64(0x0F0F0F0F0F0F0F0F)
    counts: Words = sums * np.uint64(0x0101010101010101) >> np.uint64(56)
    return counts.astype(np.uint8)


popcount = getattr(np, "bitwise_count", popcount_by_sums)  # numpy 2 has it


@cache
def _within(bits: int) -> NDArray[np.uint16]:
    """All words of 16 bits with at most so many bits set."""
    return np.flatnonzero(popcount(np.arange(1 << 16, dtype=np.uint64)) <= bits).astype(np.uint16)


class QuarterIndex:
    """Rows by each quarter of their word, fixed when made: 16 bytes a row and 1 MB."""

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
        """The rows that may lie within `threshold` bits of a word, and others.

        Some of them come more than once.
        """
        # if each quarter differed by more than its radius, all would by more than the threshold:
        # radii sum to t - 3
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
            # positions of all keys' rows one behind the other: first[k], first[k] + 1, …
            at = np.arange(ends[-1]) + np.repeat(first - ends + sizes, sizes)
            near.append(self._rows[quarter][at])
        rows: Rows = np.concatenate(near).astype(np.intp)
        return rows


class HashTable:
    """Hash pairs of surviving clips, in the order they were added: some 45 bytes a clip.

    `frames` says what has to be near: ``both`` compares each frame that both clips have a hash of
    and takes the larger distance; ``first`` compares the first frame only. Tables shorter than
    `index_from` rows, and rows added since the index was made last, are compared one by one.
    """

    def __init__(self, frames: str = "both", index_from: int = 20_000) -> None:
        self.frames = frames
        self._index_from = index_from
        self._length = 0
        self._ids = np.zeros(1024, np.int64)
        self._words = [np.zeros(1024, np.uint64) for _ in range(2)]
        self._there = [np.zeros(1024, np.bool_) for _ in range(2)]
        self._index: QuarterIndex | None = None  # of the first frames of rows before _indexed
        self._indexed = 0
        # rows before _indexed that the index does not hold
        self._without_first: Rows = np.zeros(0, np.intp)

    def __len__(self) -> int:
        return self._length

    def extend(self, clip_ids: Sequence[int], pairs: Sequence[HashPair]) -> None:
        """Append clips."""
        end = self._length + len(clip_ids)
        while end > len(self._ids):
            self._ids = np.concatenate([self._ids, np.zeros_like(self._ids)])
            self._words = [np.concatenate([a, np.zeros_like(a)]) for a in self._words]
            self._there = [np.concatenate([a, np.zeros_like(a)]) for a in self._there]
        new = slice(self._length, end)
        self._ids[new] = clip_ids
        for column, texts in enumerate(([p.first for p in pairs], [p.middle for p in pairs])):
            self._words[column][new] = [int(text, 16) if text else 0 for text in texts]
            self._there[column][new] = [bool(text) for text in texts]
        self._length = end

    def truncate(self, length: int) -> None:
        """Forget all clips after the first `length`."""
        self._length = min(length, self._length)
        if self._indexed > self._length:
            self._index, self._indexed = None, 0

    def earliest_within(self, pair: HashPair, threshold: int) -> tuple[int, int] | None:
        """Id and distance (0 to 64 bits) of the earliest clip within `threshold`, or None."""
        texts = [pair.first] if self.frames == "first" else [pair.first, pair.middle]
        near = self._candidates(pair.first, threshold)
        worst = np.zeros(len(near), np.uint8)
        compared = np.zeros(len(near), np.bool_)
        for column, text in enumerate(texts):
            if text is None:
                continue
            there = self._there[column][near]
            differing = popcount(self._words[column][near] ^ np.uint64(int(text, 16)))
            distance = np.where(there, differing, 0)
            within = distance <= threshold  # the first frame leaves few to compare the second of
            worst, compared = np.maximum(worst, distance)[within], (compared | there)[within]
            near = near[within]
        near, worst = near[compared], worst[compared]
        if not len(near):
            return None
        earliest = int(np.argmin(near))
        return int(self._ids[near[earliest]]), int(worst[earliest])

    def _candidates(self, first: str | None, threshold: int) -> Rows:
        """The rows to compare, in any order."""
        if first is None or self._length < self._index_from or threshold > 15:
            return np.arange(self._length)
        behind = (
            self._length - self._indexed
        )  # rows not in the index, which are compared one by one
        if self._index is None or behind > max(1024, self._length // 200):
            there = self._there[0][: self._length]
            rows = np.flatnonzero(there)
            self._without_first = np.flatnonzero(~there)
            self._index = QuarterIndex(self._words[0][rows], rows)
            self._indexed = self._length
        tail = np.arange(self._indexed, self._length)
        return np.concatenate(
            [self._index.near(int(first, 16), threshold), self._without_first, tail]
        )
