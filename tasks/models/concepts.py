"""Concepts: groups of clips that look alike, around centroids that were fitted on embeddings.

Vectors of clips and centroids are of unit length, and distances are 1 - cosine, 0 to 2.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.configs.errors import EmbeddingMissing, OtherFit, PackageMissing, RowError
from curate.configs.packages import install
from curate.tasks.models.embeddings import TABLE, read, unit
from curate.tasks.stage import Clip, Fit

Floats = NDArray[np.float32]
Halves = NDArray[np.float16]

# more points and tries for the first centroids than by default: they find almost every group,
# where others share the centroids of two groups and split a third
FIRST_POINTS, FIRST_TRIES = 10, 30  # points a concept, tries a centroid
BATCH, ROUNDS = 4096, 50
CELLS = 1 << 24  # distances that are in memory at once: 64 MB


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


def whole_clip(vectors: Sequence[bytes]) -> Halves:
    """One vector of a clip from those of its frames, as stored: their mean direction, as float16.

    Clips are compared in this precision, whether they were just read or are remembered.
    """
    mean = read(vectors).mean(axis=0, keepdims=True)
    halves: Halves = unit(mean)[0].astype(np.float16)
    return halves


def vector_of(rows: Sequence[Mapping[str, Any]], fit: Fit, stage: str) -> Halves | RowError:
    """The vector of a clip with these rows of `embeddings`, or what is wrong with them."""
    own = [row for row in rows if row["model"] == fit.model]
    if not own:
        return EmbeddingMissing(stage=stage, model=fit.model, found="there are none")
    if own[0]["revision"] != fit.revision:
        return OtherFit(stage=stage, needed=fit.revision, found=own[0]["revision"])
    return whole_clip([bytes(row["vector"]) for row in own])


class Concepts:
    """The concepts of a fit."""

    def __init__(self, fit: Fit) -> None:
        self._fit = fit
        self._centroids = unpacked(fit.arrays)

    def of(self, clips: Sequence[Clip], stage: str) -> list[tuple[int, float] | RowError]:
        """The concept of each clip with its distance, or what is wrong with its embeddings."""
        found = [vector_of(clip.tables[TABLE], self._fit, stage) for clip in clips]
        vectors = [one for one in found if not isinstance(one, RowError)]
        if not vectors:
            return [one for one in found if isinstance(one, RowError)]
        places, distances = nearest(unit(np.stack(vectors).astype(np.float32)), self._centroids)
        placed = zip(places.tolist(), distances.tolist(), strict=True)
        return [one if isinstance(one, RowError) else next(placed) for one in found]
