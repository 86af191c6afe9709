"""Concepts: centroids of groups of vectors, the nearest of them, and rates of duplicates."""

from __future__ import annotations

import math
import sys
import tracemalloc
from typing import Any

import numpy as np
import pytest

from curate.configs.errors import PackageMissing
from curate.configs.row_errors import EmbeddingMissing, OtherFit
from curate.tasks.models import concepts
from curate.tasks.models.concepts import (
    Concepts,
    check_scikit_learn,
    fit_centroids,
    nearest,
    packed,
    unpacked,
)
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


@pytest.mark.parametrize("part", [1, 2, 1024])
def test_a_clip_is_the_mean_direction_of_its_frames_by_the_fits_model(
    part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(concepts, "PART", part)
    both = rows_at(0, 40) + rows_at(90, model="other")
    faults, vectors = Concepts(a_fit(0)).vectors([both, rows_at(70), rows_at(0, 9, 30)], "concept")
    assert (faults, vectors.dtype) == ({}, np.float16)
    wanted = np.stack([direction(d) for d in (20, 70, 12.97)])
    assert vectors.astype(float) == pytest.approx(wanted, abs=1e-3)


def test_what_is_wrong_with_embeddings_is_told_by_place() -> None:
    of = Concepts(a_fit(0))
    wide = [{**rows_at(1)[0], "vector": bytes(6)}]
    clips = [[], rows_at(3), rows_at(1, model="other"), rows_at(1, revision="r2"), wide]
    faults, vectors = of.vectors(clips, "concept")
    assert len(vectors) == 1
    kinds = {place: type(fault) for place, fault in faults.items()}
    assert kinds == {0: EmbeddingMissing, 2: EmbeddingMissing, 3: OtherFit, 4: EmbeddingMissing}
    assert "(r1)" in str(faults[3])
    assert "(r2)" in str(faults[3])
    assert "3 numbers, not 2" in str(faults[4])


def test_without_scikit_learn_its_installation_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.cluster", None)
    with pytest.raises(PackageMissing, match="pip install 'scikit-learn>="):
        check_scikit_learn()
