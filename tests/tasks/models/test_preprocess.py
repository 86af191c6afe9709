"""What pictures become before CLIP sees them; tests/accuracy compares with the reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from curate.tasks.models.preprocess import CLIP, Preprocess, middle, pixels

Picture = NDArray[np.uint8]


def noise(seed: int, height: int, width: int) -> Picture:
    return np.random.RandomState(seed).randint(0, 256, (height, width, 3)).astype(np.uint8)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 1000), st.integers(1, 500), st.integers(1, 500), st.sampled_from([1, 32, 224])
)
def test_any_picture_becomes_a_square_of_finite_numbers_in_range(
    seed: int, height: int, width: int, side: int
) -> None:
    found = pixels(noise(seed, height, width), Preprocess(side))
    assert found.shape == (3, side, side) and found.dtype == np.float32 and found.flags.c_contiguous
    low, high = (
        (0 - np.array(CLIP.mean)) / CLIP.deviation,
        (1 - np.array(CLIP.mean)) / CLIP.deviation,
    )
    flat = found.reshape(3, -1)
    assert (flat.min(axis=1) >= low - 1e-4).all() and (flat.max(axis=1) <= high + 1e-4).all()


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 255),
    st.integers(0, 255),
    st.integers(0, 255),
    st.integers(1, 300),
    st.integers(1, 300),
)
def test_a_flat_picture_stays_flat_and_keeps_its_colour(
    red: int, green: int, blue: int, height: int, width: int
) -> None:
    found = middle(np.full((height, width, 3), (red, green, blue), np.uint8), 64)
    assert (found == (red, green, blue)).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([64, 65, 100]))
def test_a_square_of_the_right_size_is_untouched(seed: int, side: int) -> None:
    picture = noise(seed, side, side)
    np.testing.assert_array_equal(middle(picture, side), picture)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 300), st.integers(2, 300))
def test_mirrored_rows_and_columns_give_the_mirrored_square(
    seed: int, height: int, width: int
) -> None:
    """Where as much is cut off on both sides; a grey level may be rounded the other way."""
    long = int(64 * max(height, width) / min(height, width))
    if long % 2:
        return
    picture = noise(seed, height, width)
    turned = middle(np.ascontiguousarray(picture[::-1, ::-1]), 64)[::-1, ::-1]
    assert np.abs(turned.astype(int) - middle(picture, 64)).max() <= 1


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 200), st.integers(1, 200))
def test_rows_and_columns_are_treated_alike(seed: int, height: int, width: int) -> None:
    """Of a picture without strong contrast: Pillow cuts what overshoots 0 or 255 off after the
    rows.
    """
    picture = (noise(seed, height, width) // 3 + 85).astype(np.uint8)
    turned = middle(np.ascontiguousarray(picture.transpose(1, 0, 2)), 48).transpose(1, 0, 2)
    assert np.abs(turned.astype(int) - middle(picture, 48)).max() <= 2


def test_only_the_middle_counts() -> None:
    picture = noise(0, 64, 200)
    other = picture.copy()
    other[:, :60], other[:, -60:] = 0, 255
    np.testing.assert_array_equal(middle(other, 64), middle(picture, 64))


def test_the_picture_is_not_changed() -> None:
    picture = noise(0, 64, 64)
    before = picture.copy()
    pixels(picture, Preprocess(64))
    np.testing.assert_array_equal(picture, before)


@pytest.mark.parametrize("shape", [(2, 5000), (5000, 2), (1, 1600)])
def test_a_long_strip_is_as_if_only_its_middle_had_been_made(shape: tuple[int, int]) -> None:
    """Past 2^24 pixels only the square is computed."""
    picture = noise(1, *shape)
    wide = picture if shape[0] < shape[1] else picture.transpose(1, 0, 2)
    short, half = wide.shape[0], wide.shape[1] // 2
    near = np.ascontiguousarray(wide[:, half - 20 * short : half + 20 * short])
    expected = middle(near, 224)
    found = middle(np.ascontiguousarray(picture), 224)
    found = found if shape[0] < shape[1] else found.transpose(1, 0, 2)
    assert np.abs(found.astype(int) - expected).max() <= 2
