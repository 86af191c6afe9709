"""Vectors of kept clips, and the greedy search for clips that lie near an earlier kept one."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.configs.errors import RowError
from curate.tasks.models.concepts import vector_of
from curate.tasks.models.embeddings import TABLE, unit
from curate.tasks.stage import Fit

Halves = NDArray[np.float16]
Match = tuple[int, float]  # the id of the earlier clip, and its distance: 1 - cosine
Group = tuple[int, int]  # clips that are compared: of one fit and concept

BLOCK = 8192  # kept vectors compared at a time
PART = 512  # clips compared with them at a time
CLOSE = 1e-5  # sums of float32 depend on how many are made at once, by less than this


class KeptVectors:
    """Vectors of kept clips in the order of adding: 2 bytes a number."""

    def __init__(self) -> None:
        self._ids: list[int] = []
        self._vectors: Halves = np.zeros((0, 0), np.float16)

    def __len__(self) -> int:
        return len(self._ids)

    def extend(self, ids: Sequence[int], vectors: Halves) -> None:
        """Append clips with vectors (n, width)."""
        first = len(self)
        self._ids += ids
        if len(self) > len(self._vectors):
            grown = np.zeros((max(len(self), 2 * first), vectors.shape[1]), np.float16)
            if first:
                grown[:first] = self._vectors[:first]
            self._vectors = grown
        self._vectors[first : len(self)] = vectors

    def truncate(self, length: int) -> None:
        """Forget all clips after the first `length`."""
        del self._ids[length:]

    def keep(self, ids: Sequence[int], vectors: Halves, eps: float) -> list[Match | None]:
        """For each clip the earliest kept one within `eps`; where there is none, it is kept.

        Whether a pair is within `eps` is a matter of the pair alone, not of what else is compared.
        """
        candidates = self._candidates(vectors, eps)
        kept_before = len(self)
        places: dict[int, int] = {}  # of kept clips, by their number in `vectors`
        matches: list[Match | None] = []
        for number, near in enumerate(candidates):
            match = None
            for place in near:
                at = place if place < kept_before else places.get(place - kept_before)
                if at is None:
                    continue
                distance = exact_distance(self._vectors[at], vectors[number])
                if distance <= eps:
                    match = self._ids[at], distance
                    break
            if match is None:
                places[number] = len(self)
                self.extend([ids[number]], vectors[number : number + 1])
            matches.append(match)
        return matches

    def _candidates(self, vectors: Halves, eps: float) -> list[list[int]]:
        """For each vector, what may lie within `eps`: places of kept vectors, then earlier ones of
        `vectors`, whose numbers are added to the count of the kept.
        """
        new = unit(vectors.astype(np.float32))
        limit = 1 - eps - CLOSE
        near: list[list[int]] = [[] for _ in new]
        for first in range(0, len(self), BLOCK):
            block = self._vectors[first : min(first + BLOCK, len(self))]
            rows, places = np.nonzero(new @ unit(block.astype(np.float32)).T >= limit)
            for row, place in zip(rows.tolist(), places.tolist(), strict=True):
                near[row].append(first + place)
        rows, places = np.nonzero(np.tril(new @ new.T >= limit, -1))
        for row, place in zip(rows.tolist(), places.tolist(), strict=True):
            near[row].append(len(self) + place)
        return near


def exact_distance(a: Halves, b: Halves) -> float:
    """1 - cosine of two vectors, 0 to 2."""
    first, second = a.astype(np.float64), b.astype(np.float64)
    lengths = np.sqrt((first @ first) * (second @ second))
    return max(0.0, 1.0 - float(first @ second / lengths))


class KeptClips:
    """The kept clips of a dataset. Each row or clip has id, concept and concept_fit."""

    def __init__(self, fit: Fit, stage: str) -> None:
        self._fit = fit
        self._stage = stage
        self._groups: dict[Group, KeptVectors] = defaultdict(KeptVectors)

    def extend(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Append clips, each with its rows of `embeddings`; without those that other weights have
        embedded since.
        """
        new: dict[Group, list[tuple[int, Halves]]] = defaultdict(list)
        for row in rows:
            vector = vector_of(row[TABLE], self._fit, self._stage)
            if not isinstance(vector, RowError):
                new[row["concept_fit"], row["concept"]].append((row["id"], vector))
        for group, clips in new.items():
            vectors = np.stack([vector for _, vector in clips])
            self._groups[group].extend([clip for clip, _ in clips], vectors)

    def matches(self, clips: Sequence[Any], eps: float) -> list[Match | RowError | None]:
        """For each clip the earliest one within `eps`, kept or of `clips`; or what is wrong with
        its embeddings. None is kept for good: `extend` does that.
        """
        found: list[Match | RowError | None] = [None] * len(clips)
        groups: dict[Group, list[tuple[int, Halves]]] = defaultdict(list)
        for number, clip in enumerate(clips):
            vector = vector_of(clip.tables[TABLE], self._fit, self._stage)
            if isinstance(vector, RowError):
                found[number] = vector
            else:
                groups[clip["concept_fit"], clip["concept"]].append((number, vector))
        for group, members in groups.items():
            kept = self._groups[group]
            before = len(kept)
            vectors = np.stack([vector for _, vector in members])
            near = kept.keep([clips[number].id for number, _ in members], vectors, eps)
            kept.truncate(before)
            for (number, _), match in zip(members, near, strict=True):
                found[number] = match
        return found


def kept_rates(
    clips: Iterable[tuple[int, Sequence[Mapping[str, Any]]]], fit: Fit, eps: Sequence[float]
) -> tuple[int, dict[float, int]]:
    """How many clips of one concept are compared, and by each eps how many are duplicates.

    Each clip comes with its rows of `embeddings`; those that other weights embedded are left out.
    """
    kept = {one: KeptVectors() for one in eps}
    number = 0
    found = ((clip, vector_of(rows, fit, "")) for clip, rows in clips)
    able = ((clip, vector) for clip, vector in found if not isinstance(vector, RowError))
    while part := list(itertools.islice(able, PART)):
        number += len(part)
        ids, vectors = [clip for clip, _ in part], np.stack([vector for _, vector in part])
        for one, known in kept.items():
            known.keep(ids, vectors, one)
    return number, {one: number - len(known) for one, known in kept.items()}
