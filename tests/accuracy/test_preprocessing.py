"""Frames reach CLIP as transformers' CLIPImageProcessor would give them, whatever their size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.accuracy import inputs, oracle
from tests.accuracy.compare import Compare

pytestmark = pytest.mark.accuracy


@pytest.mark.parametrize(
    "number", range(len(inputs.SIZES)), ids=lambda n: "{} {}x{}".format(*inputs.SIZES[n])
)
def test_photos_of_odd_sizes(
    number: int,
    references: Mapping[str, NDArray[Any]],
    photos: dict[str, inputs.Image],
    compare: Compare,
) -> None:
    """Every 16th pixel, and the mean of each row and column, so that no pixel goes unseen."""
    from curate.tasks.models.preprocess import pixels

    name, height, width = inputs.SIZES[number]
    found = pixels(inputs.sized(photos[name], height, width))
    assert found.shape == (3, 224, 224) and found.dtype == np.float32
    compare(
        f"pixels of {height} x {width}", found[:, ::16, ::16], references[f"photo_{number}_sample"]
    )
    sums = found.astype(np.float64)
    compare("  means of its rows", sums.mean(axis=2), references[f"photo_{number}_rows"] / 224)
    compare(
        "  means of its columns", sums.mean(axis=1), references[f"photo_{number}_columns"] / 224
    )


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 700), st.integers(1, 700), st.integers(0, 1000))
def test_any_size(height: int, width: int, seed: int) -> None:
    """Noise of any size, against the same rule written once more; no strips beyond 1 to 200."""
    assume(max(height, width) <= 200 * min(height, width))
    from curate.tasks.models.preprocess import pixels

    frame = np.random.RandomState(seed).randint(0, 256, (height, width, 3)).astype(np.uint8)
    np.testing.assert_allclose(pixels(frame), oracle.pixels(frame), atol=1e-5)


def test_one_pixel_keeps_its_colour_in_every_place() -> None:
    from curate.tasks.models.preprocess import pixels

    found = pixels(np.array([[[255, 128, 0]]], np.uint8))
    expected = (np.array([1, 128 / 255, 0]) - oracle.MEAN) / oracle.STD
    np.testing.assert_allclose(
        found, np.broadcast_to(expected[:, None, None], found.shape), atol=1e-6
    )


@pytest.mark.parametrize("shape", [(1, 4000), (4000, 1), (2, 3840)])
def test_a_strip_gives_its_middle(shape: tuple[int, int]) -> None:
    """The reference would make a picture of 200 million pixels of it first; here only colour and
    shape are promised.
    """
    from curate.tasks.models.preprocess import pixels

    found = pixels(np.full((*shape, 3), 200, np.uint8))
    expected = (np.array([200 / 255] * 3) - oracle.MEAN) / oracle.STD
    np.testing.assert_allclose(
        found, np.broadcast_to(expected[:, None, None], (3, 224, 224)), atol=1e-6
    )
