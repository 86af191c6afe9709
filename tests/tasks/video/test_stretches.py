"""Spans are decoded by stretches: each frame once, and no frame of another span."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from curate.tasks.video.span import Span
from curate.tasks.video.stretches import frames_of_spans, runs
from tests import media
from tests.drawing import frame_number


def spans(*places: tuple[int, int], tick: int = 1) -> list[Span]:
    return [Span(a * tick, b * tick, Fraction(1, 24 * tick)) for a, b in places]


def test_runs_are_parted_only_where_a_seek_saves_decoding() -> None:
    found = spans((0, 10), (10, 20), (30, 40), (35, 48))
    assert list(runs(found, [])) == [[0, 1, 2], [3]]
    assert list(runs(found, [0, 10, 29])) == [[0, 1], [2], [3]]
    assert list(runs([], [])) == []
    apart = spans((0, 10), (130, 140), (261, 270))
    assert list(runs(apart, None)) == [[0, 1], [2]]
    walked = [replace(span, access="walk") for span in apart]
    assert list(runs(walked, None)) == [[0, 1, 2]]


def test_each_span_gets_its_own_frames_also_where_others_were_left(tmp_path: Path) -> None:
    drawn = media.draw("closed", tmp_path)
    tick = 512  # of an mp4 at 24 frames a second
    found = spans((0, 3), (3, 6), (20, 22), (21, 24), tick=tick)
    numbers = []
    for place, _, frames in frames_of_spans(str(drawn.path), found):
        taken = [] if place == 1 else [frame_number(f.to_ndarray(format="rgb24")) for f in frames]
        numbers.append(taken)
    assert numbers == [[0, 1, 2], [], [20, 21], [21, 22, 23]]
