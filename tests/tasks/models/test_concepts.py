"""Concepts: centroids of groups of vectors, the nearest of them, and rates of duplicates."""

from __future__ import annotations

import math
import sys
import tracemalloc
from typing import Any

import numpy as np
import pytest

from curate.configs.errors import EmbeddingMissing, OtherFit, PackageMissing
from curate.tasks.models import concepts
from curate.tasks.models.concepts import (
    check_scikit_learn,
    fit_centroids,
    nearest,
    packed,
    unpacked,
    vector_of,
    whole_clip,
)
from curate.tasks.models.embeddings import stored
from tests.embedded import a_fit, direction, rows_at

Floats = np.ndarray[Any, np.dtype[np.float32]]


def around(*groups: tuple[float, int]) -> Floats:
    """Vectors within two degrees of angles, so many of each."""
    chance = np.random.default_rng(1)
    angles = [d + chance.uniform(-2, 2) for d, number in groups for _ in range(number)]
    return np.stack([direction(d) for d in chance.permutation(angles)])


def test_centroids_lie_in_the_groups_the_largest_first() -> None:
    vectors = around((0, 20), (90, 60), (180, 40))
    centroids = fit_centroids(vectors, 3, seed=5)
    angles = [math.degrees(math.atan2(y, x)) for x, y in centroids]
    assert angles == pytest.approx([90, 180, 0], abs=1)
    assert np.linalg.norm(centroids, axis=1) == pytest.approx(1, abs=1e-6)


def test_the_same_seed_gives_the_same_centroids() -> None:
    vectors = around((0, 50), (30, 50), (60, 50), (200, 50))
    assert (fit_centroids(vectors, 6, 3) == fit_centroids(vectors, 6, 3)).all()


def test_the_nearest_centroid_is_told_with_its_distance() -> None:
    centroids = np.stack([direction(0), direction(90)])
    places, distances = nearest(np.stack([direction(60), direction(-60)]), centroids)
    assert places.tolist() == [1, 0]
    assert distances == pytest.approx([1 - math.cos(math.pi / 6), 0.5], abs=1e-6)


def test_many_vectors_are_compared_a_part_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, centroids = around((0, 2500), (90, 2499)), around((0, 100), (90, 100))
    whole = nearest(vectors, centroids)
    monkeypatch.setattr(concepts, "CELLS", 10_000, raising=False)
    tracemalloc.start()
    places, distances = nearest(vectors, centroids)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < vectors.nbytes * len(centroids) / 10
    assert (places == whole[0]).all() and distances == pytest.approx(whole[1], abs=1e-6)


def test_centroids_are_stored_without_pickle() -> None:
    centroids = around((0, 4))
    assert (unpacked(packed(centroids)) == centroids).all()
    import io

    file = io.BytesIO()
    np.save(file, np.array([object()]), allow_pickle=True)
    with pytest.raises(ValueError, match="pickle"):
        unpacked(file.getvalue())


def test_a_clip_is_the_mean_direction_of_its_frames() -> None:
    vector = whole_clip([stored(direction(d)) for d in (0, 40)])
    assert vector.dtype == np.float16
    assert vector.astype(float) == pytest.approx(direction(20).tolist(), abs=1e-3)


def test_what_is_wrong_with_embeddings_is_told() -> None:
    fit = a_fit(0)
    assert isinstance(vector_of(rows_at(1, model="other"), fit, "concept"), EmbeddingMissing)
    wrong = vector_of(rows_at(1, revision="r2"), fit, "concept")
    assert isinstance(wrong, OtherFit)
    assert "(r1)" in str(wrong)
    assert "(r2)" in str(wrong)


def test_without_scikit_learn_its_installation_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.cluster", None)
    with pytest.raises(PackageMissing, match="pip install scikit-learn"):
        check_scikit_learn()
