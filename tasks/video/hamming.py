"""Hamming distances between 64-bit hashes, and an append-only table of hash pairs to search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]
FAR = 65  # more than any distance of 64 bits: nothing to compare


def _popcount_by_table(words: Words) -> NDArray[Any]:
    halves = words.view(np.uint16).reshape(*words.shape, 4)
    counts: NDArray[Any] = _TABLE[halves].sum(axis=-1, dtype=np.uint8)
    return counts


_TABLE = np.array([bin(i).count("1") for i in range(1 << 16)], dtype=np.uint8)
popcount = getattr(np, "bitwise_count", _popcount_by_table)  # numpy 2 has it, and 3 times as fast


@dataclass(frozen=True)
class HashPair:
    """The perceptual hashes of a clip's first and middle frame as 16 hex characters; None for a flat frame."""

    first: str | None
    middle: str | None


@dataclass
class HashTable:
    """Hash pairs of surviving clips, in the order they were added: 18 bytes a clip, searched by brute force.

    `frames` says what has to be near: ``both`` compares each frame that both clips have a hash of and
    takes the larger distance; ``first`` compares the first frame only.
    """

    frames: str = "both"
    ids: list[int] = field(default_factory=list)
    _words: list[Words] = field(default_factory=lambda: [np.zeros(1024, np.uint64) for _ in range(2)])
    _there: list[NDArray[np.bool_]] = field(default_factory=lambda: [np.zeros(1024, np.bool_) for _ in range(2)])

    def __len__(self) -> int:
        return len(self.ids)

    def add(self, clip_id: int, pair: HashPair) -> None:
        """Append a clip."""
        at = len(self.ids)
        if at == len(self._words[0]):
            self._words = [np.concatenate([w, np.zeros_like(w)]) for w in self._words]
            self._there = [np.concatenate([t, np.zeros_like(t)]) for t in self._there]
        for column, text in enumerate((pair.first, pair.middle)):
            self._words[column][at] = int(text, 16) if text else 0
            self._there[column][at] = bool(text)
        self.ids.append(clip_id)

    def truncate(self, length: int) -> None:
        """Forget all clips after the first `length`."""
        del self.ids[length:]

    def earliest_within(self, pair: HashPair, threshold: int) -> tuple[int, int] | None:
        """Id and distance (0 to 64 bits) of the earliest clip within `threshold`, or None."""
        texts = [pair.first] if self.frames == "first" else [pair.first, pair.middle]
        near = np.arange(len(self.ids))
        worst = np.zeros(len(near), np.uint8)
        compared = np.zeros(len(near), np.bool_)
        for column, text in enumerate(texts):
            if text is None:
                continue
            there = self._there[column][: len(self.ids)][near]
            distance = np.where(there, self._distances(column, text, near), 0)
            keep = distance <= threshold  # the first frame leaves few to compare the second of
            worst, compared = np.maximum(worst, distance)[keep], (compared | there)[keep]
            near = near[keep]
        found = np.flatnonzero(compared)
        return (self.ids[near[found[0]]], int(worst[found[0]])) if len(found) else None

    def _distances(self, column: int, text: str, rows: NDArray[np.intp]) -> NDArray[np.uint8]:
        words = self._words[column][: len(self.ids)]
        chosen = words if len(rows) == len(words) else words[rows]
        counts: NDArray[np.uint8] = popcount(chosen ^ np.uint64(int(text, 16)))
        return counts


def pairs_of(rows: Sequence[Any]) -> list[HashPair]:
    """The hash pairs of rows that have hash_first and hash_middle."""
    return [HashPair(row["hash_first"], row["hash_middle"]) for row in rows]
