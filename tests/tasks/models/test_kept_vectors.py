"""Kept vectors: the greedy rule, whatever is compared at once."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.tasks.models import kept_vectors
from curate.tasks.models.kept_vectors import KeptVectors, exact_distance, kept_rates
from tests.embedded import a_fit, direction, rows_at

Halves = np.ndarray[Any, np.dtype[np.float16]]


def halves(*degrees: float) -> Halves:
    return np.stack([direction(d) for d in degrees]).astype(np.float16)


def greedy(vectors: Halves, eps: float) -> list[int | None]:
    """The definition: the earliest kept one within eps, for each in order."""
    kept: list[int] = []
    found: list[int | None] = []
    for number, vector in enumerate(vectors):
        near = [k for k in kept if exact_distance(vectors[k], vector) <= eps]
        found.append(near[0] if near else None)
        kept += [] if near else [number]
    return found


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 90), min_size=1, max_size=30),
    st.integers(1, 30),
    st.sampled_from([0.0, 0.001, 0.01, 0.1]),
    st.integers(1, 8),
)
def test_batches_and_blocks_do_not_change_the_greedy_result(
    angles: list[int], size: int, eps: float, block: int
) -> None:
    vectors = halves(*angles)
    kept = KeptVectors()
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kept_vectors, "BLOCK", block)
        for at in range(0, len(vectors), size):
            part = vectors[at : at + size]
            found += kept.keep(list(range(at, at + len(part))), part, eps)
    assert [None if match is None else match[0] for match in found] == greedy(vectors, eps)
    assert len(kept) == found.count(None)


def test_a_match_tells_the_distance_of_the_pair() -> None:
    kept = KeptVectors()
    first, second = kept.keep([7, 8], halves(0, 60), 0.6)
    assert first is None
    assert second is not None
    assert second == (7, pytest.approx(0.5, abs=1e-3))


def test_what_is_forgotten_is_not_found() -> None:
    kept = KeptVectors()
    kept.extend([1, 2], halves(0, 50))
    kept.truncate(1)
    assert kept.keep([3, 4], halves(50, 1), 0.01) == [None, (1, pytest.approx(0.0, abs=1e-3))]


def test_the_same_vector_twice_has_no_distance() -> None:
    (vector,) = halves(33)
    assert exact_distance(vector, vector) == pytest.approx(0, abs=1e-12)
    assert exact_distance(vector, -vector) == pytest.approx(2)


def test_rates_grow_with_eps() -> None:
    clips = [(n, rows_at(angle)) for n, angle in enumerate((0, 1, 5, 50, 51, 90))]
    clips.append((9, rows_at(0, revision="r2")))
    eps = {d: 1 - math.cos(math.radians(d + 0.5)) for d in (0, 1, 5, 60)}
    number, rates = kept_rates(clips, a_fit(0), list(eps.values()))
    assert number == 6
    assert [rates[e] for e in eps.values()] == [0, 2, 3, 4]
