"""Time stamps of copied packets; whole copies are in test_cut.py."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from curate.tasks.video.copying import decoding_times


@given(st.permutations(range(12)))
def test_decoding_times_increase_and_never_pass_the_presentation(pts: list[int]) -> None:
    dts = decoding_times(pts)
    assert all(a < b for a, b in pairwise(dts))
    assert all(d <= p for d, p in zip(dts, pts, strict=True))
    assert any(d == p for d, p in zip(dts, pts, strict=True))
