"""Pieces of a scene: within the limits, one after another, nothing lost."""

from __future__ import annotations

import itertools
from fractions import Fraction

from hypothesis import example, given, settings
from hypothesis import strategies as st

from curate.tasks.video.pieces import Lengths, long_enough, pieces

EXACT = Fraction(1, 12800)


STEPS = st.lists(st.integers(1, 2000), min_size=1, max_size=120)


LIMITS = st.tuples(st.floats(0, 3), st.floats(0.05, 5))


def times_of(steps: list[int]) -> list[int]:
    return list(itertools.accumulate(steps, initial=17))


@settings(max_examples=150)
@given(STEPS, LIMITS)
@example([512] * 100, (2.0, 2.0))
def test_split_pieces_follow_one_another_within_the_limit(
    steps: list[int], limits: tuple[float, float]
) -> None:
    times, (shortest, longest) = times_of(steps), limits
    lengths = Lengths(shortest, longest)
    found = pieces(times, EXACT, lengths)
    assert all(0 <= a < b <= len(times) - 1 for a, b in found)
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(found))
    frame = max(steps) * EXACT  # one frame may be longer than the limit: it cannot be cut
    assert all(
        (times[b] - times[a]) * EXACT <= max(longest, frame) + Fraction(1, 10**6) for a, b in found
    )


@settings(max_examples=100)
@given(st.integers(30, 4000), st.integers(1, 400), st.floats(0.5, 20))
def test_at_a_constant_rate_nothing_is_lost_and_pieces_are_equal(
    count: int, step: int, longest: float
) -> None:
    times = list(range(0, count * step + 1, step))
    found = pieces(times, EXACT, Lengths(0.0, longest))
    if found != [(0, count)]:
        sizes = [b - a for a, b in found]
        assert sum(sizes) == count
        assert max(sizes) - min(sizes) <= 1


def test_no_piece_is_below_the_shortest_length() -> None:
    times = list(range(22))  # 21 s at one frame a second
    (piece,) = pieces(times, Fraction(1), Lengths(15.0, 20.0))
    assert piece == (0, 20)
    assert long_enough(times, piece, Fraction(1), Lengths(15.0, 20.0))


def test_a_scene_of_exactly_the_limits_is_whole_and_long_enough() -> None:
    times = [i * 1001 for i in range(601)]  # 600 frames at 29.97 a second: 20.02 s
    assert pieces(times, Fraction(1, 30000), Lengths(2.0, 20.02)) == [(0, 600)]
    assert long_enough(times, (0, 600), Fraction(1, 30000), Lengths(20.02, None))


def test_panda_bounds_are_those_of_the_published_rule() -> None:
    fps, length, end = (
        25,
        5,
        412,
    )  # frames; B = [0]; while e - B[-1] > (L + 2) * fps: B += B[-1] + L * fps
    bounds = [0]
    while end - bounds[-1] > (length + 2) * fps:
        bounds.append(bounds[-1] + length * fps)
    found = pieces(list(range(end + 1)), Fraction(1, fps), Lengths(0.0, None, panda=5.0))
    assert found == list(itertools.pairwise([*bounds, end]))
