"""Which tokens of a batch look at which, and how fast rotary positions turn."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from curate.tasks.captioners.language_model import attention_mask, rotary_speeds


@given(st.lists(st.integers(1, 9), min_size=1, max_size=3), st.integers(1, 10))
def test_parts_of_a_beginning_see_what_the_whole_sees(lengths: list[int], at_once: int) -> None:
    """Each word itself and the words before it, and no filling; filling looks at itself alone."""
    longest = max(lengths)
    is_token = np.arange(longest) >= longest - np.array(lengths)[:, None]
    for begin in range(0, longest, at_once):
        part = attention_mask(is_token[:, : begin + at_once], begin)
        for row, position, other in np.ndindex(part.shape):
            itself = begin + position
            expected = other == itself or (other < itself and is_token[row, other])
            assert part[row, position, other] == expected


def test_rotary_speeds_fall_from_a_radian_a_position() -> None:
    np.testing.assert_allclose(rotary_speeds(8, 10_000), [1, 1e-1, 1e-2, 1e-3], rtol=1e-6)
