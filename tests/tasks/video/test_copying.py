"""Time stamps of copied packets; whole copies are in test_cut.py."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.tasks.video.copying import copy_span, decoding_times, without_gap
from curate.tasks.video.probing import probe_video
from curate.tasks.video.span import Span
from tests.field_pairs import pictures, write_pairs


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


@pytest.mark.parametrize("together", [False, True], ids=["apart", "together"])
@pytest.mark.parametrize("suffix", [".ts", ".mkv", ".mp4"])
def test_two_fields_are_copied_and_counted_as_one_frame(
    tmp_path: Path, suffix: str, together: bool
) -> None:
    source = write_pairs(tmp_path / f"a{suffix}", pictures([True] * 20), together)
    video = probe_video(str(source))
    base = Fraction(video["time_base_num"], video["time_base_den"])
    start = video["first_pts"]
    # to the end of a first field, as where it is the last frame
    span = Span(start, start + round(Fraction(23, 50) / base), base, 12)
    written = copy_span(tmp_path / "b.mp4", str(source), span, sound=False)
    with av.open(str(tmp_path / "b.mp4")) as container:
        shown = sum(1 for _ in container.decode(video=0))
    assert (written.num_frames, shown) == (12, 12)
