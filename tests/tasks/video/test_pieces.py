"""Pieces of a scene: within the limits, one after another, nothing lost."""

from __future__ import annotations

import itertools
from fractions import Fraction

from hypothesis import example, given, settings
from hypothesis import strategies as st

from curate.tasks.video.pieces import Lengths, Piece, pieces, ticks

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
    assert all(0 <= p.first < p.after <= len(times) - 1 for p in found)
    assert all(times[p.after - 1] < p.end <= times[p.after] for p in found)
    assert all(a.after <= b.first for a, b in itertools.pairwise(found))
    assert all(
        (p.end - times[p.first]) * EXACT <= longest + Fraction(1, 10**6) for p in found
    )  # also where one frame is longer than that


def shifted(found: list[Piece], frames: int, ticks: int) -> list[Piece]:
    return [Piece(p.first + frames, p.after + frames, p.end + ticks) for p in found]


@settings(max_examples=150)
@given(STEPS, STEPS, st.integers(1, 10**7))
def test_what_lies_behind_a_long_frame_is_divided_as_if_it_were_alone(
    before: list[int], behind: list[int], longer: int
) -> None:
    lengths = Lengths(1.0, 2.0)
    limit = int(2.0 / EXACT)
    times = times_of([*before, limit + longer, *behind])
    start = len(before) + 1
    alone = shifted(pieces(times_of(behind), EXACT, lengths), start, times[start] - 17)
    found = pieces(times, EXACT, lengths)
    assert [p for p in found if p.first >= start] == alone
    assert all(p.after <= start for p in found if p.first < start)


@settings(max_examples=100)
@given(st.integers(60, 900), st.integers(60, 900), st.floats(4.1, 1000))
def test_no_moving_frame_is_lost_beside_a_pause(before: int, behind: int, pause: float) -> None:
    times = times_of([512] * (before - 1) + [round(pause / EXACT)] + [512] * behind)
    found = pieces(times, EXACT, Lengths(2.0, 4.0))
    assert all((p.end - times[p.first]) * EXACT >= 2 for p in found)
    assert sum(p.after - p.first for p in found) == before + behind


def test_the_frame_before_a_pause_is_as_long_as_the_one_before_it() -> None:
    times = times_of([512] * 124 + [512 * 751] + [512] * 125)  # 5 s, 30 s of nothing, 5 s
    first, second = pieces(times, EXACT, Lengths())
    assert (first.first, first.after, (first.end - times[0]) * EXACT) == (0, 125, 5)
    assert (second.first, second.after, second.end) == (125, 250, times[-1])


def test_a_burst_before_a_pause_is_made_just_long_enough() -> None:
    times = times_of([512] * 11 + [12800 * 30] + [512] * 75)  # 0.48 s of frames
    first, second = pieces(times, EXACT, Lengths(2.0, 20.0))
    assert (first.after, (first.end - times[0]) * EXACT) == (12, 2)
    assert second.first == 12


def test_a_frame_between_two_pauses_is_cut_off_at_the_longest_length() -> None:
    times = times_of([512] * 75 + [12800 * 25, 12800 * 25] + [512] * 75)
    lone = next(p for p in pieces(times, EXACT, Lengths()) if p.first == 76)
    assert (lone.after, (lone.end - times[76]) * EXACT) == (77, 20)


def test_each_part_beside_a_pause_keeps_its_beginning_in_truncate() -> None:
    times = times_of([512] * 249 + [12800 * 30] + [512] * 250)  # 10 s twice
    found = pieces(times, EXACT, Lengths(2.0, 4.0, "truncate"))
    assert [(p.first, p.after) for p in found] == [(0, 100), (250, 350)]


def test_without_a_limit_a_long_frame_stays_whole() -> None:
    times = times_of([512] * 75 + [12800 * 300] + [512] * 75)
    assert pieces(times, EXACT, Lengths(2.0, None)) == [Piece(0, 151, times[-1])]


def test_the_rule_of_panda_bounds_a_long_frame_too() -> None:
    times = times_of([512] * 74 + [12800 * 30] + [512] * 75)
    found = pieces(times, EXACT, Lengths(2.0, None, panda=5.0))
    assert [(p.first, p.after) for p in found] == [(0, 75), (75, 150)]
    assert max((p.end - times[p.first]) * EXACT for p in found) <= 7


@settings(max_examples=100)
@given(st.integers(30, 4000), st.integers(1, 400), st.floats(0.5, 20))
def test_at_a_constant_rate_nothing_is_lost_and_pieces_are_equal(
    count: int, step: int, longest: float
) -> None:
    times = list(range(0, count * step + 1, step))
    found = pieces(times, EXACT, Lengths(0.0, longest))
    if len(found) > 1:
        sizes = [p.after - p.first for p in found]
        assert sum(sizes) == count
        assert max(sizes) - min(sizes) <= 1


def test_no_piece_is_below_the_shortest_length() -> None:
    times = list(range(22))  # 21 s at one frame a second
    (piece,) = pieces(times, Fraction(1), Lengths(15.0, 20.0))
    assert (piece.first, piece.after) == (0, 20)
    assert piece.end - times[0] >= 15


def test_a_scene_of_exactly_the_limits_is_whole_and_long_enough() -> None:
    times = [i * 1001 for i in range(601)]  # 600 frames at 29.97 a second: 20.02 s
    assert pieces(times, Fraction(1, 30000), Lengths(2.0, 20.02)) == [Piece(0, 600, 600 * 1001)]
    assert ticks(20.02, Fraction(1, 30000)) == 600 * 1001


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
    assert [(p.first, p.after) for p in found] == list(itertools.pairwise([*bounds, end]))
