"""Frames of Qwen-VL: which of a clip, how large, and where their patches and tokens lie."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.tasks.captioners.qwen_frames import (
    PixelBounds,
    frame_indices,
    patch_positions,
    resized,
    token_positions,
    windows,
)

SIDES = st.integers(1, 3000)


def test_frames_of_a_second() -> None:
    """10 s of 30 fps make 40 frames; short clips 4, where they have them; always an even number."""
    assert len(frame_indices(300, 30.0)) == 40
    assert frame_indices(300, 30.0)[:3] == [0, 8, 15]
    assert frame_indices(10, 30.0) == [0, 3, 6, 9]
    assert frame_indices(3, 30.0) == [0, 2]
    assert frame_indices(1, 30.0) == [0]
    assert len(frame_indices(100_000, 25.0)) == 768


@given(st.integers(1, 5000), st.floats(1, 120), st.floats(0.5, 10))
def test_frames_lie_in_the_clip_in_order(count: int, fps: float, wanted: float) -> None:
    chosen = frame_indices(count, fps, wanted)
    assert chosen == sorted(set(chosen))
    assert chosen[0] == 0
    assert chosen[-1] < count
    assert len(chosen) % 2 == 0 or count == 1


@given(SIDES, SIDES, st.integers(1, 900))
def test_sizes_are_multiples_within_bounds(height: int, width: int, frames: int) -> None:
    bounds = PixelBounds().of(frames)
    if max(height, width) > 200 * min(height, width):
        with pytest.raises(ValueError, match="too long"):
            resized(height, width, bounds)
        return
    rows, columns = resized(height, width, bounds)
    assert rows % 28 == columns % 28 == 0
    if (
        round(height / 28) * round(width / 28) * 28 * 28 >= bounds.smallest
    ):  # what grows may grow over the largest
        assert min(rows, columns) == 28 or rows * columns <= bounds.largest
    else:
        assert rows * columns >= bounds.smallest


def test_a_long_clip_has_smaller_frames() -> None:
    assert PixelBounds().of(40).largest == 448 * 672
    assert PixelBounds().of(400).largest < 448 * 672
    assert PixelBounds().of(10_000).largest == int(128 * 28 * 28 * 1.05)


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 5))
def test_windows_hold_every_word_once(rows: int, columns: int, side: int) -> None:
    order, counts = windows(rows, columns, side)
    assert sorted(order.tolist()) == list(range(rows * columns))
    assert sum(counts) == rows * columns
    assert max(counts) <= side * side


def test_places_of_a_clip_in_a_text() -> None:
    """Two words, a clip of 2 x 1 x 2 words half a step apart, one word."""
    positions, after = token_positions(2, (2, 2, 4), 1, 0.5)
    assert positions.tolist() == [
        [0, 1, 2, 2, 2, 2, 4],
        [0, 1, 2, 2, 2, 2, 4],
        [0, 1, 2, 3, 2, 3, 4],
    ]
    assert after == 5


def test_patches_of_four_lie_in_a_square() -> None:
    assert patch_positions(2, 4).tolist() == [
        [0, 0, 1, 1, 0, 0, 1, 1],
        [0, 1, 0, 1, 2, 3, 2, 3],
    ]
