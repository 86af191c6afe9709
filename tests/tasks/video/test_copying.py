"""Time stamps of copied packets; whole copies are in test_cut.py."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from curate.tasks.video.copying import decoding_times, without_gap


@given(st.permutations(range(12)))
def test_decoding_times_increase_and_never_pass_the_presentation(pts: list[int]) -> None:
    dts = decoding_times(pts)
    assert all(a < b for a, b in pairwise(dts))
    assert all(d <= p for d, p in zip(dts, pts, strict=True))
    assert any(d == p for d, p in zip(dts, pts, strict=True))


def test_what_is_shown_after_a_pause_follows_the_end_at_once() -> None:
    assert without_gap([0, 4000, 1, 4010, 2], end=3) == [0, 3, 1, 13, 2]


def test_time_stamps_without_a_gap_stay() -> None:
    assert without_gap([0, 3, 1, 2], end=3) == [0, 3, 1, 2]
    assert without_gap([0, 1], end=3) == [0, 1]
