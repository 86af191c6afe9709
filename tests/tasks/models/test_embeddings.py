"""Embeddings as the table holds them: of unit length, float16, and little the worse for it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from curate.configs.errors import OtherWeights
from curate.configs.row_errors import EmbeddingMissing, OtherEmbeddings
from curate.tasks.models.embeddings import TextVector, matching, of_clip, read, stored, unit
from curate.tasks.stage import Clip, Video

Floats = NDArray[np.float32]


def drawn(seed: int, rows: int, width: int, large: int = 0) -> Floats:
    """Unit vectors, some of their numbers twenty times as large as the others."""
    vectors = np.random.RandomState(seed).standard_normal((rows, width)).astype(np.float32)
    vectors[:, :large] *= 20
    return unit(vectors)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([1, 2, 512, 768, 1024]), st.integers(0, 5))
def test_storing_moves_a_cosine_by_less_than_float16_can_tell_apart(
    seed: int, width: int, large: int
) -> None:
    vectors, others = (
        drawn(seed, 4, width, large),
        drawn(seed + 1, 5, width, large).astype(np.float64),
    )
    back = read([stored(vector) for vector in vectors])
    assert back.shape == vectors.shape and back.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(back, axis=1), 1, atol=1e-6)
    moved = np.abs(back.astype(np.float64) @ others.T - vectors.astype(np.float64) @ others.T).max()
    assert moved < 2**-11
    assert moved < 1e-4 or large or width < 512


def test_what_is_stored_is_float16_little_endian() -> None:
    assert stored(np.array([1.0, -2.0], np.float32)) == b"\x00\x3c\x00\xc0"


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(np.float32, (3, 5), elements=st.floats(-1e10, 1e10, width=32)))
def test_rows_of_unit_length_keep_their_direction_or_are_nan(vectors: Floats) -> None:
    with np.errstate(all="ignore"):
        found, lengths = unit(vectors), np.linalg.norm(vectors, axis=1)
    for row, before, length in zip(found, vectors, lengths, strict=True):
        if length == 0 or not np.isfinite(length):
            assert not np.isfinite(row).all(), "never taken for a direction"
        elif length > 1e-15:  # the squares of smaller numbers are none
            np.testing.assert_allclose(row * length, before, rtol=1e-4, atol=length * 1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 0.0])
def test_a_row_that_has_no_direction_is_nan_and_its_neighbour_is_not(bad: float) -> None:
    found = unit(np.array([[bad] * 3, [3, 0, 4]], np.float32))
    assert np.isnan(found[0]).all()
    np.testing.assert_allclose(found[1], [0.6, 0, 0.8], atol=1e-6)


def clip(*rows: dict[str, Any]) -> Clip:
    """A clip with these rows of `embeddings`."""
    usual = {"model": "m", "revision": "r1", "position": 0.5}
    video = Video(1, 1, "/v.mp4", "v.mp4", {})
    tables = {"embeddings": [usual | row for row in rows]}
    return Clip(1, 1, 0, video, 0, 1, Fraction(1), {}, Path("/none"), tables if rows else {})


def vector(*numbers: float) -> bytes:
    return stored(np.array(numbers, np.float32))


def test_frames_come_in_their_order_and_of_the_model_asked_for() -> None:
    row = clip(
        {"frame": 1, "vector": vector(0, 1)},
        {"frame": 0, "vector": vector(1, 0)},
        {"frame": 0, "model": "other", "vector": vector(1, 1, 1)},
    )
    found = of_clip(row, "m", "stage", 2)
    np.testing.assert_allclose(found.vectors, [[1, 0], [0, 1]], atol=1e-3)
    assert found.revision == "r1"
    assert of_clip(row, "other", "stage").vectors.shape == (1, 3)


@pytest.mark.parametrize("row", [clip(), clip({"frame": 0, "model": "other", "vector": vector(1)})])
def test_a_clip_without_embeddings_says_who_writes_them(row: Clip) -> None:
    with pytest.raises(
        EmbeddingMissing, match=r"match needs .* by m, and there are none.*redo clip_embed"
    ):
        of_clip(row, "m", "match")


def test_embeddings_of_another_width_are_none() -> None:
    with pytest.raises(EmbeddingMissing, match="they have 2 numbers, not 768"):
        of_clip(clip({"frame": 0, "vector": vector(1, 0)}), "m", "aesthetic", 768)


def test_vectors_are_compared_with_texts_of_the_same_weights_only() -> None:
    found = of_clip(clip({"frame": 0, "vector": vector(1, 0)}), "m", "match")
    assert matching(found, "r1", "match") is found.vectors
    with pytest.raises(OtherEmbeddings, match=r"\(r2\).*\(r1\).*curate redo clip_embed"):
        matching(found, "r2", "match")


def test_a_text_scores_stored_vectors_of_the_same_weights_only() -> None:
    frames = drawn(5, 3, 768)
    text = TextVector(np.float32(100) * frames[1], "one")
    found = text.scores("one", [stored(frame) for frame in frames], "embed")
    assert found == pytest.approx(list(100 * frames @ frames[1]), abs=0.05)
    assert max(found) == found[1] == pytest.approx(100, abs=0.05)
    with pytest.raises(OtherWeights, match=r"\(two\).*\(one\).*redo embed DATASET"):
        text.scores("two", [stored(frames[0])], "embed")
