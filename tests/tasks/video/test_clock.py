"""One rising clock, whatever the time stamps of a source do; sound moves with its pictures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.tasks.video.clock import Clock, Jump, SoundClock

STEP = 3600  # a frame at 25 a second, in 1/90000 s
BASE = Fraction(1, 90000)


@dataclass
class Stamp:
    pts: int | None
    dts: int | None
    pos: int | None = None
    is_keyframe: bool = False


def clock(leaps: bool = True) -> Clock:
    return Clock(STEP, BASE, leaps)


def part(count: int, start: int = 126000, delay: int = 2) -> list[Stamp]:
    """Packets of I P B B P B B …, whose first frame is shown `delay` frames after its decoding."""
    shown = [0, *(k for n in range(3, count + 3, 3) for k in (n, n - 2, n - 1) if k < count)]
    missing = sorted(set(range(count)) - set(shown))  # B-frames at the end refer to none behind
    return [
        Stamp(start + (k + delay) * STEP, start + i * STEP, is_keyframe=i == 0)
        for i, k in enumerate([*shown, *missing])
    ]


def shown(packets: list[Stamp]) -> list[int]:
    return sorted(p.pts for p in packets if p.pts is not None)


@given(st.lists(st.integers(-(1 << 40), 1 << 40) | st.none()))
def test_any_time_stamps_give_as_many_that_rise(stamps: list[int | None]) -> None:
    one = clock()
    risen = [one.rising(pts) for pts in stamps]
    assert len(risen) == len(stamps)
    assert all(a < b for a, b in pairwise(risen))


@given(st.lists(st.integers(-(1 << 40), 1 << 40), unique=True).map(sorted))
def test_time_stamps_that_rise_stay(stamps: list[int]) -> None:
    one = clock()
    assert [one.rising(pts) for pts in stamps] == stamps


_NUMBERS = st.none() | st.integers(-(1 << 34), 1 << 34)


@given(st.lists(st.builds(Stamp, _NUMBERS, _NUMBERS)), st.booleans())
def test_no_packet_is_lost_whatever_it_says(packets: list[Stamp], leaps: bool) -> None:
    one = clock(leaps)
    assert list(map(id, one.continued(packets))) == list(map(id, packets))
    assert all(a.start < b.start for a, b in pairwise(one.jumps))


@given(
    st.lists(st.tuples(st.integers(8, 40), st.integers(0, 1 << 32), st.integers(0, 3)), min_size=1)
)
def test_parts_that_start_again_follow_one_another(parts: list[tuple[int, int, int]]) -> None:
    start, lengths, packets = 0, [], []
    for count, away, delay in parts:  # each starts at least 0.24 s before the end of the last
        start = max(0, start - 20 * STEP) if away % 2 else start + 11 * 90000 + away
        packets += part(count, start, delay)
        start += count * STEP
        lengths.append(count)
    one = clock()
    continued = shown(list(one.continued(packets)))
    assert [b - a for a, b in pairwise(continued)] == [STEP] * (sum(lengths) - 1)


def test_a_part_without_a_new_clock_is_no_jump() -> None:
    one = clock()
    packets = part(30) + part(30, 126000 + 30 * STEP)
    expected = shown([replace(p) for p in packets])
    assert shown(list(one.continued(packets))) == expected
    assert one.jumps == []


@pytest.mark.parametrize(("leaps", "overlap"), [(True, 1), (True, 2), (False, 2)])
@pytest.mark.parametrize("delay", [0, 2])
def test_parts_that_overlap_by_a_frame_or_two_follow_one_another(
    overlap: int, delay: int, leaps: bool
) -> None:
    # decoding times go back by less than jitter may
    one = clock(leaps)
    packets = part(30, delay=delay) + part(30, 126000 + (30 - overlap) * STEP, delay)
    assert [b - a for a, b in pairwise(shown(list(one.continued(packets))))] == [STEP] * 59
    assert [jump.offset for jump in one.jumps] == [overlap * STEP]


@pytest.mark.parametrize(("leaps", "jumps"), [(True, 1), (False, 0)])
def test_a_keyframe_at_the_time_of_the_last_picture_is_a_jump_where_parts_are_joined(
    leaps: bool, jumps: int
) -> None:
    one = clock(leaps)
    last = 126000 + 29 * STEP
    list(one.continued([*part(30, delay=0), Stamp(last, last, is_keyframe=True)]))
    assert len(one.jumps) == jumps


def test_jitter_of_a_stream_of_keyframes_is_no_jump() -> None:
    one = clock()
    stamps = [0, STEP, STEP - 2000, 3 * STEP, 2 * STEP + 1000, 5 * STEP]
    list(one.continued([Stamp(pts, pts, is_keyframe=True) for pts in stamps]))
    assert one.jumps == []


@pytest.mark.parametrize(("leaps", "jumps"), [(True, 1), (False, 0)])
def test_a_long_step_forward_is_a_jump_where_the_format_has_one_clock(
    leaps: bool, jumps: int
) -> None:
    one = clock(leaps)
    list(one.continued(part(20) + part(20, 126000 + 60 * 90000)))
    assert len(one.jumps) == jumps


@pytest.mark.parametrize("seconds", [1, 9])
def test_a_pause_is_no_jump(seconds: int) -> None:
    one = clock()
    list(one.continued(part(20) + part(20, 126000 + 20 * STEP + seconds * 90000)))
    assert one.jumps == []


def test_decoding_times_that_go_back_a_little_are_jitter() -> None:
    one = clock()
    list(one.continued([Stamp(9000, 9000), Stamp(9900, 8900), Stamp(13500, 12600)]))
    assert one.jumps == []


@pytest.mark.parametrize("pause_after", range(4))
@pytest.mark.parametrize("seconds", [2, 30])
def test_a_pause_among_reordered_pictures_is_no_jump(seconds: int, pause_after: int) -> None:
    def later(shown: int | None) -> int | None:
        return None if shown is None else shown + seconds * 90000 * (shown > pause_after * STEP)

    order, decoded = [0, 4, 2, 1, 3, 8, 6, 5, 7], [None, None, None, 0, 1, 2, 3, 4, 5]
    packets = [
        Stamp(later(k * STEP), later(None if dts is None else dts * STEP))
        for k, dts in zip(order, decoded, strict=True)
    ]
    one = clock(leaps=False)
    assert shown(list(one.continued(packets))) == [later(k * STEP) for k in range(9)]
    assert one.jumps == []


def test_a_long_pause_whose_pictures_are_decoded_before_it_is_no_jump() -> None:
    # of a transport stream: a picture is shown after the pause, and those before it are stored next
    pause = 12 * 90000
    shown_at = [0, 3 * STEP + pause, STEP, 2 * STEP, 6 * STEP + pause, 4 * STEP + pause]
    decoded_at = [-STEP, 0, STEP, 2 * STEP, 3 * STEP + pause, 4 * STEP + pause]
    one = clock()
    packets = [Stamp(*both) for both in zip(shown_at, decoded_at, strict=True)]
    assert shown(list(one.continued(packets))) == sorted(shown_at)
    assert one.jumps == []


def test_frames_without_time_stamps_at_the_start_come_before_the_first_with_one() -> None:
    # as Matroska has them where time stamps begin below 0
    order = [None, None, None, STEP, None, 0, 3 * STEP, 2 * STEP]
    one = clock()
    packets = list(one.continued([Stamp(pts, None) for pts in [*order, None]]))  # None: the flush
    assert len(packets) == len(order) + 1
    presented = [None] * 4 + [0, STEP, 2 * STEP, 3 * STEP]
    assert [one.rising(pts) for pts in presented] == [k * STEP for k in range(-4, 4)]


@pytest.mark.parametrize("seconds", [1, 10, 60])
def test_reordered_pictures_of_a_time_lapse_are_no_jump(seconds: int) -> None:
    # as Matroska has them: the first packets have no decoding time
    order, decoded = [0, 4, 2, 1, 3, 8, 6, 5, 7], [None, None, None, 1, 2, 3, 4, 5, 6]
    long = seconds * 90000
    packets = [
        Stamp(k * long, None if dts is None else dts * long)
        for k, dts in zip(order, decoded, strict=True)
    ]
    one = Clock(long, BASE, leaps=True)
    assert shown(list(one.continued(packets))) == [k * long for k in range(9)]
    assert one.jumps == []


def test_leading_pictures_behind_a_jump_come_first() -> None:
    open_gop = [Stamp(90000 + k * STEP, 90000 + i * STEP) for i, k in enumerate((2, 0, 1, 5, 3, 4))]
    one = clock()
    continued = list(one.continued(part(10, 10 * 90000) + open_gop))
    assert shown(continued)[10:] == [one.jumps[0].start + k * STEP for k in range(6)]


# the end of the last frame


def ended(stamps: list[int], duration: int | None, *, fields: bool = False) -> int:
    one = clock()
    for pts in stamps:
        one.rising(pts, duration)
    return one.end(stamps[0], duration, fields=fields)


def test_the_last_frame_ends_after_its_duration() -> None:
    assert ended([0, STEP, 2 * STEP], 1800) == 2 * STEP + 1800
    assert ended([0], 1800, fields=True) == 1800


@pytest.mark.parametrize("duration", [None, 0, 1])
def test_a_duration_that_is_none_is_that_of_a_usual_frame(duration: int | None) -> None:
    assert ended([0, STEP], duration) == 2 * STEP


def test_the_duration_of_a_field_is_half_that_of_its_frame() -> None:
    assert ended([k * STEP for k in range(9)], STEP // 2, fields=True) == 9 * STEP
    assert ended([0, 33, 67, 100, 133], 17, fields=True) == 166  # in milliseconds


def test_a_frame_missing_before_the_last_does_not_make_it_one_of_fields() -> None:
    stamps = [0, STEP, 2 * STEP, 3 * STEP, 5 * STEP]
    assert ended(stamps, STEP, fields=True) == 6 * STEP


# sound

# 6 s of pictures from 1 s on, then 9 s that start again at 1 s, then 3 s from 100 s on
JUMPS = [
    Jump(7 * 90000, 6 * 90000, 1000),
    Jump(16 * 90000, (16 - 100) * 90000, 2000),
]


def sound(*stamps: tuple[float, int]) -> list[float | None]:
    one = SoundClock(JUMPS, BASE)
    found = [one.continued(Fraction(seconds), place) for seconds, place in stamps]
    return [None if seconds is None else float(seconds) for seconds in found]


def test_sound_goes_with_the_pictures_of_its_part() -> None:
    assert sound((1, 10), (6.5, 900), (1, 1100), (9.5, 1900), (100, 2100), (102, 2900)) == [
        1, 6.5, 7, 15.5, 16, 18,
    ]  # fmt: skip


def test_sound_that_is_stored_before_or_after_its_pictures_stays_with_them() -> None:
    assert sound((1, 10), (6.5, 1100), (1, 1200), (9.5, 2050), (100, 2100)) == [1, 6.5, 7, 15.5, 16]
    assert sound((6.5, 900), (1, 990), (9.5, 1900), (100, 1950)) == [6.5, 7, 15.5, 16]


def test_sound_without_pictures_is_left_out() -> None:
    assert sound((6.9, 900), (7.5, 950), (0.5, 1050), (1.5, 1100)) == [6.9, None, None, 7.5]


def test_sound_that_begins_in_a_later_part_is_with_its_pictures() -> None:
    assert sound((2, 1500), (3, 1600)) == [8, 9]


def test_sound_of_parts_that_overlap_by_little_goes_by_its_place() -> None:
    # 2 s of pictures from 1 s on, then others from 2.92 s on
    one = SoundClock([Jump(3 * 90000, 7200, 1000)], BASE)
    stamps = [(2.9, 900), (2.99, 990), (2.93, 1010), (3.0, 1020), (9.0, 9000)]
    found = [one.continued(Fraction(seconds), place) for seconds, place in stamps]
    assert [float(seconds or 0) for seconds in found] == pytest.approx(
        [2.9, 2.99, 3.01, 3.08, 9.08]
    )
