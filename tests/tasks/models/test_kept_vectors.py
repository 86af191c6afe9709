"""Kept vectors: the greedy rule, whatever is compared at once and wherever borders are."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.tasks.models import kept_vectors, vector_file
from curate.tasks.models.concepts import nearest
from curate.tasks.models.embeddings import unit
from curate.tasks.models.kept_vectors import KeptVectors, distances_of, kept_rates
from tests.embedded import a_fit, direction, rows_at

Halves = np.ndarray[Any, np.dtype[np.float16]]
Floats = np.ndarray[Any, np.dtype[np.float32]]


def halves(*degrees: float) -> Halves:
    return np.stack([direction(d) for d in degrees]).astype(np.float16)


def distance(a: Halves, b: Halves) -> float:
    return float(distances_of(a[None], b[None])[0])


def greedy(vectors: Halves, eps: float) -> list[int | None]:
    """The definition: the earliest kept one within eps, for each in order."""
    kept: list[int] = []
    found: list[int | None] = []
    for number, vector in enumerate(vectors):
        near = [k for k in kept if distance(vectors[k], vector) <= eps]
        found.append(near[0] if near else None)
        kept += [] if near else [number]
    return found


def keep(kept: KeptVectors, vectors: Halves, size: int) -> list[int | None]:
    """What is found of vectors, `size` at a time; those that match none are kept."""
    found: list[int | None] = []
    for at in range(0, len(vectors), size):
        part = vectors[at : at + size]
        matches = kept.matches(list(range(at, at + len(part))), part)
        new = [n for n, match in enumerate(matches) if match is None]
        kept.extend([at + n for n in new], part[new])
        found += [None if match is None else match[0] for match in matches]
    return found


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 90), min_size=1, max_size=30),
    st.lists(st.integers(0, 90), min_size=1, max_size=5),
    st.integers(1, 30),
    st.sampled_from([0.0, 0.001, 0.01, 0.1]),
    st.integers(1, 8),
)
def test_batches_and_borders_do_not_change_the_greedy_result(
    angles: list[int], concepts: list[int], size: int, eps: float, part: int
) -> None:
    vectors = halves(*angles)
    kept = KeptVectors(np.stack([direction(d) for d in concepts]), eps)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kept_vectors, "PART", part)
        patch.setattr(kept_vectors, "PAIRS", part)
        patch.setattr(kept_vectors, "MOST_CELLS", part)
        patch.setattr(kept_vectors, "SKETCH", 1)
        found = keep(kept, vectors, size)
    assert found == greedy(vectors, eps)
    assert len(kept) == found.count(None)


@pytest.fixture(scope="module")
def crossed() -> tuple[Halves, Floats]:
    """Vectors of 6 numbers, each with copies at up to eps, between many centroids."""
    chance = np.random.default_rng(3)
    first = unit(chance.standard_normal((150, 6), np.float32))
    copies = unit(first + 0.12 * unit(chance.standard_normal((150, 6), np.float32)))
    vectors = np.concatenate([first, copies])[chance.permutation(300)].astype(np.float16)
    return vectors, unit(chance.standard_normal((40, 6), np.float32))


def test_a_copy_in_another_concept_is_found(crossed: tuple[Halves, Floats]) -> None:
    vectors, centroids = crossed
    found = keep(KeptVectors(centroids, 0.01), vectors, 70)
    assert found == greedy(vectors, 0.01)
    concepts, _ = nearest(vectors.astype(np.float32), centroids)
    pairs = [(n, of) for n, of in enumerate(found) if of is not None]
    assert sum(concepts[n] != concepts[of] for n, of in pairs) > 10


def test_concepts_out_of_reach_are_not_looked_into(crossed: tuple[Halves, Floats]) -> None:
    vectors, centroids = crossed
    near = KeptVectors(centroids, 0.001)._near(unit(vectors.astype(np.float32)))
    assert 1 < near.sum(axis=0).mean() < 5


def test_no_cosine_exceeds_the_product_of_two_sketches(crossed: tuple[Halves, Floats]) -> None:
    vectors, centroids = crossed
    units = unit(vectors.astype(np.float32))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kept_vectors, "SKETCH", 3)
        sketches = KeptVectors(centroids, 0.01)._sketched(units)
    assert sketches.shape == (300, 4)
    over = sketches @ sketches.T - units @ units.T
    assert over.min() > -1e-6
    assert 0.05 < np.median(over) < 0.8, "they are near the cosines"


def test_a_cell_fills_several_blocks_and_is_compared_in_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    vectors = halves(*np.arange(0, 90, 0.2))
    monkeypatch.setattr(vector_file, "BLOCK", 4)
    monkeypatch.setattr(kept_vectors, "RUN", 12)
    kept = KeptVectors(np.stack([direction(0), direction(60)]), 1e-5)
    assert keep(kept, vectors, 100) == greedy(vectors, 1e-5)
    assert len(kept) > 100


def test_a_match_tells_the_distance_of_the_pair() -> None:
    kept = KeptVectors(halves(0).astype(np.float32), 0.6)
    first, second = kept.matches([7, 8], halves(0, 60))
    assert first is None
    assert second is not None
    assert second == (7, pytest.approx(0.5, abs=1e-3))
    assert len(kept) == 0, "what matches are sought for is not kept"


def test_the_same_vector_twice_has_no_distance_and_one_that_is_none_matches_nothing() -> None:
    (vector,) = halves(33)
    assert distance(vector, vector) == 0
    assert distance(vector, -vector) == pytest.approx(2)
    kept = KeptVectors(halves(0).astype(np.float32), 1.0)
    nothing = np.full((2, 2), np.nan, np.float16)
    kept.extend([1, 2], nothing)
    assert kept.matches([3, 4], nothing) == [None, None]


def test_rates_grow_with_eps() -> None:
    clips = [(n, rows_at(angle)) for n, angle in enumerate((0, 1, 5, 50, 51, 90))]
    clips.append((9, rows_at(0, revision="r2")))
    eps = {d: 1 - math.cos(math.radians(d + 0.5)) for d in (0, 1, 5, 60)}
    *_, (number, rates) = kept_rates([clips[:3], clips[3:]], a_fit(0, 70), list(eps.values()))
    assert number == 6
    assert [rates[e] for e in eps.values()] == [0, 2, 3, 4]
