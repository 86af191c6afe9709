"""Concepts: groups of clips that look alike, around centroids that were fitted on embeddings.

Vectors of clips and centroids are of unit length, and distances are 1 - cosine, 0 to 2.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.configs.errors import PackageMissing
from curate.configs.packages import install
from curate.configs.row_errors import EmbeddingMissing, OtherFit, RowError
from curate.tasks.models.embeddings import TABLE, read, unit
from curate.tasks.stage import Clip, Fit

Floats = NDArray[np.float32]
Halves = NDArray[np.float16]
Rows = Sequence[Mapping[str, Any]]  # of `embeddings`

# more points and tries for the first centroids than by default: they find almost every group,
# where others share the centroids of two groups and split a third
FIRST_POINTS, FIRST_TRIES = 10, 30  # points a concept, tries a centroid
BATCH, ROUNDS = 4096, 50
CELLS = 1 << 24  # distances that are in memory at once: 64 MB
PART = 1024  # clips whose frames are in memory at once as float32


def check_scikit_learn() -> None:
    """Raise PackageMissing when scikit-learn is not installed."""
    try:
        import sklearn.cluster  # noqa: F401
    except ImportError:
        how = install("scikit-learn")
        raise PackageMissing(what="Fitting concepts", package="scikit-learn", install=how) from None


def fit_centroids(vectors: Floats, count: int, seed: int) -> Floats:
    """`count` centroids (count, width) of vectors (n, width), that of most vectors first.

    The same for the same vectors in the same order, and seed. Raises PackageMissing.
    """
    check_scikit_learn()
    from sklearn.cluster import MiniBatchKMeans, kmeans_plusplus

    chance = np.random.default_rng(seed)
    some = chance.permutation(len(vectors))[: max(FIRST_POINTS * count, 1000)]
    first, _ = kmeans_plusplus(vectors[some], count, random_state=seed, n_local_trials=FIRST_TRIES)
    fitted = MiniBatchKMeans(
        count, init=first, n_init=1, random_state=seed, batch_size=BATCH, max_iter=ROUNDS
    ).fit(vectors)
    centroids = unit(fitted.cluster_centers_.astype(np.float32))
    sizes = np.bincount(nearest(vectors, centroids)[0], minlength=count)
    ordered: Floats = centroids[np.argsort(-sizes, kind="stable")]
    return ordered


def nearest(vectors: Floats, centroids: Floats) -> tuple[NDArray[np.intp], Floats]:
    """The nearest centroid of each vector, and its distance."""
    found = np.empty(len(vectors), np.intp)
    distances: Floats = np.empty(len(vectors), np.float32)
    rows = max(CELLS // len(centroids), 1)
    for start in range(0, len(vectors), rows):
        part = slice(start, start + rows)
        cosines = vectors[part] @ centroids.T
        found[part] = cosines.argmax(axis=1)
        distances[part] = 1 - cosines.max(axis=1)
    return found, distances.clip(0, 2)


def packed(centroids: Floats) -> bytes:
    """Centroids as a file of NumPy."""
    file = io.BytesIO()
    np.save(file, centroids.astype("<f4"), allow_pickle=False)
    return file.getvalue()


def unpacked(arrays: bytes) -> Floats:
    """Centroids of such a file."""
    centroids: Floats = np.load(io.BytesIO(arrays), allow_pickle=False)
    return centroids


class Concepts:
    """The concepts of a fit."""

    def __init__(self, fit: Fit) -> None:
        self._fit = fit
        self.centroids = unpacked(fit.arrays)

    def of(self, clips: Sequence[Clip], stage: str) -> list[tuple[int, float] | RowError]:
        """The concept of each clip with its distance, or what is wrong with its embeddings."""
        faults, vectors = self.vectors([clip.tables[TABLE] for clip in clips], stage)
        places, distances = nearest(unit(vectors.astype(np.float32)), self.centroids)
        placed = zip(places.tolist(), distances.tolist(), strict=True)
        return [faults[n] if n in faults else next(placed) for n in range(len(clips))]

    def vectors(self, clips: Sequence[Rows], stage: str) -> tuple[dict[int, RowError], Halves]:
        """What is wrong with clips, by their place, and the vectors (n, width) of all others.

        Clips come as their rows of `embeddings`. The vector of a clip is the mean direction of its
        frames, as float16: in this precision clips are compared, whether they were just read or
        are remembered.
        """
        faults: dict[int, RowError] = {}
        frames: list[list[bytes]] = []
        for place, rows in enumerate(clips):
            own = [row for row in rows if row["model"] == self._fit.model]
            if fault := self._fault(own, stage):
                faults[place] = fault
            else:
                frames.append([bytes(row["vector"]) for row in own])
        vectors: Halves = np.empty((len(frames), self.centroids.shape[1]), np.float16)
        for start in range(0, len(frames), PART):
            part = frames[start : start + PART]
            starts = np.cumsum([0, *(len(of_clip) for of_clip in part[:-1])])
            sums = np.add.reduceat(read([one for of_clip in part for one in of_clip]), starts)
            vectors[start : start + PART] = unit(sums)
        return faults, vectors

    def _fault(self, rows: Rows, stage: str) -> RowError | None:
        model, width = self._fit.model, self.centroids.shape[1]
        if not rows:
            return EmbeddingMissing(stage=stage, model=model, found="there are none")
        for row in rows:
            if row["revision"] != self._fit.revision:
                return OtherFit(stage=stage, needed=self._fit.revision, found=row["revision"])
            if len(row["vector"]) != 2 * width:
                found = f"they have {len(row['vector']) // 2} numbers, not {width}"
                return EmbeddingMissing(stage=stage, model=model, found=found)
        return None
