"""Plans of frames, sizes and the small parts of cutting; whole cuts are in test_cut.py."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from curate.tasks.video.encode import Box, Target, layout, resample, sizes
from curate.tasks.video.geometry import Geometry

times = st.lists(st.integers(1, 200), min_size=0, max_size=40).map(
    lambda gaps: [Fraction(sum(gaps[:i]), 600) for i in range(len(gaps) + 1)]
)
rates = st.sampled_from([Fraction(1), Fraction(8), Fraction(24), Fraction(2997, 100), Fraction(60)])


def plan_frames(seconds: list[Fraction], length: Fraction, fps: Fraction) -> list[int]:
    """For each frame that `resample` gives, the position in `seconds` of the source frame."""
    return [i for _, i in resample(((t, i) for i, t in enumerate(seconds)), length, fps)]


@given(times, st.integers(1, 300), rates)
@settings(max_examples=100)
def test_a_plan_shows_at_each_time_the_frame_that_is_on_the_screen(
    seconds: list[Fraction], last: int, fps: Fraction
) -> None:
    length = seconds[-1] + Fraction(last, 600)
    plan = plan_frames(seconds, length, fps)
    on_screen = [
        max(i for i, t in enumerate(seconds) if t <= k / fps)
        for k in range(max(1, round(length * fps)))
    ]
    assert plan == on_screen


def test_a_lower_rate_leaves_frames_out_and_a_higher_one_repeats_them() -> None:
    steady = [Fraction(i, 24) for i in range(6)]
    assert plan_frames(steady, Fraction(6, 24), Fraction(12)) == [0, 2, 4]
    assert plan_frames(steady[:3], Fraction(3, 24), Fraction(48)) == [0, 0, 1, 1, 2, 2]


def test_a_clip_shorter_than_one_period_keeps_one_frame() -> None:
    assert plan_frames([Fraction(0)], Fraction(1, 100), Fraction(1)) == [0]


@given(
    st.integers(1, 5000),
    st.integers(1, 5000),
    st.sampled_from([0, 90, 180, 270]),
    st.none() | st.integers(16, 2000),
)
def test_written_sizes_are_even_and_never_enlarged(
    width: int, height: int, rotation: int, shorter: int | None
) -> None:
    shape = Geometry(width, height, Fraction(1), rotation)
    _, written = sizes(shape.size, shorter)
    assert all(side % 2 == 0 and side >= 2 for side in written)
    assert all(side <= max(2, shown) for side, shown in zip(written, shape.size, strict=True))
    assert shorter is None or min(written) <= shorter


def test_a_shorter_size_keeps_the_shape() -> None:
    assert sizes((1920, 1080), 720)[1] == (1280, 720)
    assert sizes(Geometry(1920, 1080, Fraction(1), 90).size, 720)[1] == (720, 1280)
    assert sizes(Geometry(704, 480, Fraction(10, 11), 0).size, None)[1] == (704, 528)
    assert sizes((161, 97), None)[1] == (160, 96)


even = st.integers(8, 1500).map(lambda half: 2 * half)


@given(st.integers(1, 5000), st.integers(1, 5000), st.sampled_from([0, 90]), even, even)
def test_a_crop_covers_its_box_and_bars_fill_what_is_left(
    width: int, height: int, rotation: int, wide: int, high: int
) -> None:
    shape = Geometry(width, height, Fraction(1), rotation)
    shown = shape.size
    cropped = layout(shape, Target(20, "fast", box=Box(wide, high, 1, "crop")))
    padded = layout(shape, Target(20, "fast", box=Box(wide, high, 1, "pad")))
    assert cropped.size == padded.size == (wide, high)
    for scaled, side in zip(cropped.scaled, (wide, high), strict=True):
        assert scaled >= side
    for scaled, side in zip(padded.scaled, (wide, high), strict=True):
        assert scaled % 2 == 0 and 2 <= scaled <= side
    # one side fits exactly, the other keeps the shape to a pixel or two
    for found, off in ((cropped.scaled, 1), (padded.scaled, 2)):
        assert wide == found[0] or high == found[1]
        exact = found[0] * Fraction(shown[1], shown[0])
        across = found[1] * Fraction(shown[0], shown[1])
        assert abs(found[1] - exact) <= off or abs(found[0] - across) <= off or 2 in found
