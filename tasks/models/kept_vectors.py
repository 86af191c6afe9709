"""Vectors of kept clips by their concepts, and the search for clips near an earlier kept one."""

from __future__ import annotations

import math
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.tasks.models.concepts import Concepts, nearest
from curate.tasks.models.embeddings import unit
from curate.tasks.models.vector_file import VectorFile
from curate.tasks.stage import Fit

Floats = NDArray[np.float32]
Halves = NDArray[np.float16]
Match = tuple[int, float]  # the id of the earlier clip, and its distance: 1 - cosine

MOST_CELLS = 1000  # centroids that clips are searched by: those of the largest concepts
SKETCH = 96  # numbers
RUN = 2048  # kept vectors that are compared at a time
PART = 256  # clips of a batch that are compared with each other at a time
PAIRS = 1024  # pairs that are compared in float64 at a time
CLOSE = 1e-5  # sums of float32 are off by less, as are those of vectors that are nearly unit
NONE = np.iinfo(np.int64).max  # in place of a kept clip


class KeptVectors:
    """Vectors of kept clips, searched for the earliest one within `eps`.

    A clip is looked for in the cell of its own centroid and in all others that may hold one within
    `eps`. Which it is, is a matter of the vectors and `eps` alone: neither of the centroids nor of
    what else is compared. Memory holds 16 bytes a clip; the vectors and their sketches are in
    files.
    """

    def __init__(self, centroids: Floats, eps: float) -> None:
        self._centroids = centroids[:MOST_CELLS]
        self._eps = eps
        self._least = 1 - eps - CLOSE  # cosine
        axes = np.linalg.svd(self._centroids.astype(np.float64), full_matrices=False)[2]
        self._axes: Floats = axes[:SKETCH].T.astype(np.float32)
        self._ids = array("q")  # by place: in the order of adding
        self._places: dict[int, array[int]] = defaultdict(lambda: array("q"))  # by cell
        self._vectors = VectorFile(centroids.shape[1], np.float16)
        self._sketches = VectorFile(self._axes.shape[1] + 1, np.float32)

    def __len__(self) -> int:
        return len(self._ids)

    def extend(self, ids: Sequence[int], vectors: Halves) -> None:
        """Append clips with vectors (n, width)."""
        units = unit(vectors.astype(np.float32))
        sketches = self._sketched(units)
        cells, _ = nearest(units, self._centroids)
        for cell in np.unique(cells).tolist():
            own = np.flatnonzero(cells == cell)
            self._vectors.extend(cell, vectors[own])
            self._sketches.extend(cell, sketches[own])
            self._places[cell].extend((own + len(self)).tolist())
        self._ids.extend(ids)

    def _sketched(self, units: Floats) -> Floats:
        """The numbers of vectors along the axes in which centroids differ most, and the length of
        what is left. No cosine exceeds the product of both sketches (Cauchy-Schwarz).
        """
        along = units @ self._axes
        left = np.sqrt((1 - np.einsum("ij,ij->i", along, along)).clip(0) + CLOSE)
        return np.column_stack([along, left])

    def matches(self, ids: Sequence[int], vectors: Halves) -> list[Match | None]:
        """For each clip the earliest one within `eps`, kept or of these clips; None where there is
        none, and the clip is to be kept. `extend` keeps it.
        """
        units = unit(vectors.astype(np.float32))
        places, distances = self._among_kept(units, vectors)
        matches = [
            None if place == NONE else (self._ids[place], distance)
            for place, distance in zip(places.tolist(), distances.tolist(), strict=True)
        ]
        alone = np.flatnonzero(places == NONE)
        for number, (earlier, distance) in self._among_each_other(alone, units, vectors):
            matches[number] = ids[earlier], distance
        return matches

    def _among_kept(
        self, units: Floats, vectors: Halves
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """For each vector the place of the earliest kept one within eps, or NONE; the distance."""
        places = np.full(len(units), NONE)
        distances = np.zeros(len(units))
        if not len(self):
            return places, distances
        near, sketches = self._near(units), self._sketched(units)
        for cell in np.flatnonzero(near.any(axis=1)).tolist():
            some = np.flatnonzero(near[cell])
            for at, kept, place in self._pairs(units[some], sketches[some], cell):
                number = some[at]
                earlier = np.flatnonzero(place < places[number])
                number, kept, place = number[earlier], kept[earlier], place[earlier]
                found = distances_of(vectors[number], kept)
                for n, p, d in zip(number.tolist(), place.tolist(), found.tolist(), strict=True):
                    if d <= self._eps and p < places[n]:
                        places[n], distances[n] = p, d
        return places, distances

    def _near(self, units: Floats) -> NDArray[np.bool_]:
        """Which cells may have clips within eps of vectors: (cells, vectors).

        c is the centroid nearest to x. A clip y in the cell of c' has y·(c - c') <= 0, and x lies
        asin(x·(c - c') / |c - c'|) away from all such y on the sphere: at most acos(1 - eps), whose
        sine is sqrt(eps (2 - eps)), if y is within eps of x.
        """
        cosines = self._centroids @ units.T
        own = cosines.argmax(axis=0)
        margins = cosines[own, np.arange(len(units))] - cosines
        squares = 2 - 2 * (self._centroids @ self._centroids[own].T)
        reach = math.sqrt(self._eps * (2 - self._eps))
        near: NDArray[np.bool_] = margins <= reach * np.sqrt(squares.clip(0) + CLOSE) + CLOSE
        return near

    def _pairs(
        self, units: Floats, sketches: Floats, cell: int
    ) -> Iterator[tuple[NDArray[np.intp], Halves, NDArray[np.int64]]]:
        """Pairs that may be within eps, some at a time: the numbers of vectors, and the vectors
        and places of kept ones in a cell.
        """
        places = np.array(self._places.get(cell, ()), np.int64)
        for first in range(0, len(places), RUN):
            may = sketches @ self._sketches.read(cell, first, RUN).T >= self._least
            rows, columns = np.flatnonzero(may.any(axis=1)), np.flatnonzero(may.any(axis=0))
            if not len(rows):
                continue
            kept = self._vectors.take(cell, (first + columns).tolist())
            cosines = units[rows] @ unit(kept.astype(np.float32)).T
            row, column = np.nonzero(cosines >= self._least)
            for start in range(0, len(row), PAIRS):
                some = column[start : start + PAIRS]
                place = places[first + columns[some]]
                yield rows[row[start : start + PAIRS]], kept[some], place

    def _among_each_other(
        self, numbers: NDArray[np.intp], units: Floats, vectors: Halves
    ) -> Iterator[tuple[int, Match]]:
        """Those vectors with these numbers that are within eps of an earlier one which is not: the
        number, and the earliest with its distance.
        """
        kept: list[int] = []
        for start in range(0, len(numbers), PART):
            part = numbers[start : start + PART]
            before = np.array([*kept, *part.tolist()])
            near = np.tril(units[part] @ units[before].T >= self._least, len(kept) - 1)
            alone = np.ones(len(before), bool)
            for row, number in enumerate(part.tolist()):
                earlier = before[np.flatnonzero(near[row] & alone)]
                if len(earlier):
                    far = distances_of(vectors[[number] * len(earlier)], vectors[earlier])
                    if len(within := np.flatnonzero(far <= self._eps)):
                        alone[len(before) - len(part) + row] = False
                        yield number, (int(earlier[within[0]]), float(far[within[0]]))
                        continue
                kept.append(number)


def distances_of(some: Halves, others: Halves) -> NDArray[np.float64]:
    """1 - cosine of each pair of vectors (n, width), 0 to 2.

    Sums of products of float16 are exact in float64, in whatever order they are made.
    """
    a, b = some.astype(np.float64), others.astype(np.float64)
    dots, *squares = (np.einsum("ij,ij->i", *pair) for pair in ((a, b), (a, a), (b, b)))
    with np.errstate(invalid="ignore"):
        distances: NDArray[np.float64] = 1 - dots / np.sqrt(squares[0] * squares[1])
    return distances.clip(0)


def kept_rates(
    clips: Iterable[Sequence[tuple[int, Sequence[Mapping[str, Any]]]]],
    fit: Fit,
    eps: Sequence[float],
) -> Iterator[tuple[int, dict[float, int]]]:
    """How many clips were compared so far, and by each eps how many of them are duplicates.

    Clips come some at a time, each an id with its rows of `embeddings`; those that have none of
    the fit's model and revision are left out.
    """
    concepts = Concepts(fit)
    kept = {one: KeptVectors(concepts.centroids, one) for one in eps}
    number = 0
    for part in clips:
        faults, vectors = concepts.vectors([rows for _, rows in part], "")
        ids = [clip for n, (clip, _) in enumerate(part) if n not in faults]
        number += len(ids)
        for known in kept.values():
            matches = known.matches(ids, vectors)
            new = [n for n, match in enumerate(matches) if match is None]
            known.extend([ids[n] for n in new], vectors[new])
        yield number, {one: number - len(known) for one, known in kept.items()}
