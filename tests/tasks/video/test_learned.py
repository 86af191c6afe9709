"""Cuts by a network: which frames it is asked about, and what is made of what it says.

The network here says what is written into the frames, so that the truth is known to the frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from curate.tasks.models.transnet import CONTEXT, WINDOW
from curate.tasks.video.learned import BEFORE, Gate, LateFrames, LearnedCuts
from curate.tasks.video.scene_buffer import SceneFrame
from curate.tasks.video.scenes import Candidate, Rate, Shrinker

Frames = NDArray[np.uint8]


class Reader:
    """A network that reads its answer: the first two bytes of a frame are its probabilities."""

    window = WINDOW

    def __init__(self) -> None:
        self.seen: list[Frames] = []

    def predict(self, frames: Frames) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        self.seen.append(frames)
        said = frames[:, 0, 0, :2].astype(np.float32) / 255
        return said[:, 0], said[:, 1]


def film(count: int, cuts: Sequence[int] = (), fading: Iterable[int] = ()) -> list[Frames]:
    """Frames whose number is in them, of gray that changes at each cut."""
    frames = []
    for index in range(count):
        gray = 40 + 60 * (sum(index >= cut for cut in cuts) % 4)
        frame = np.full((27, 48, 3), gray, np.uint8)
        frame[0, 0] = (255 if index + 1 in cuts else 0, 255 if index in fading else 0, 0)
        frame[0, 1] = (index >> 8, index & 255, 0)
        frames.append(frame)
    return frames


def number(frame: Frames) -> int:
    return int(frame[0, 1, 0]) << 8 | int(frame[0, 1, 1])


def found(finder: LearnedCuts, frames: Sequence[Frames]) -> list[int]:
    """The cuts, each of whose frames is still kept when it is found."""
    late = LateFrames(finder, lambda decoded: decoded)
    cuts: list[int] = []
    for index, frame in enumerate(frames):
        late.add(SceneFrame(index, index, object()))  # type: ignore[arg-type]  # any picture
        candidate = Candidate(
            index, index, Rate(Fraction(1, 25), Fraction(25)), None, Shrinker().shrink
        )
        candidate.thumbnail = frame
        new = finder.push(candidate)
        assert [late.find(cut).index for cut in new] == new
        cuts += new
    new = finder.flush()
    assert [late.find(cut).index for cut in new] == new
    return cuts + new


@pytest.mark.parametrize("count", [1, 49, 50, 51, 74, 75, 130, 260])
def test_windows_are_those_of_the_published_network(count: int) -> None:
    """Of 100 frames, 50 apart, the first and the last frame repeated at the ends."""
    reader = Reader()
    found(LearnedCuts(reader), film(count))
    windows = [[number(frame) for frame in window] for window in reader.seen]
    padded = [0] * CONTEXT + [*range(count)] + [count - 1] * (CONTEXT + 50 - (count % 50 or 50))
    assert windows == [padded[at : at + WINDOW] for at in range(0, len(padded) - WINDOW + 1, 50)]


def test_a_cut_is_the_frame_after_the_last_of_a_shot_wherever_it_lies_in_a_window() -> None:
    cuts = [20, 50, 75, 100, 149, 174, 200, 255]
    assert found(LearnedCuts(Reader(), min_scene_len=1), film(260, cuts)) == cuts


def test_cuts_are_so_many_frames_or_seconds_apart() -> None:
    frames = film(100, [10, 30, 37, 60, 74, 76])
    assert found(LearnedCuts(Reader(), min_scene_len=15), frames) == [30, 60, 76]
    assert found(LearnedCuts(Reader(), min_scene_len=0.56), frames) == [30, 60, 74]
    assert found(LearnedCuts(Reader(), min_scene_len=0.2), frames) == [10, 30, 37, 60, 74]


@pytest.mark.parametrize("first", [30, 45, 60, 70, 97])
def test_a_transition_is_one_cut_or_is_left_out(first: int) -> None:
    """Also where it lies on the border of two windows, and where a fade is black between."""
    after = first + 20
    fading = [i for i in range(first, after) if i not in (first + 9, first + 10)]
    frames = film(160, [first + 6, first + 14], fading)
    assert found(LearnedCuts(Reader()), frames) == [first + 10]
    finder = LearnedCuts(Reader(), trim=True)
    assert found(finder, frames) == [first, after]
    assert finder.transitions == {first: 20}


@pytest.mark.parametrize(("faint", "cuts"), [(90, [50]), (20, [34, 66])])
def test_a_fade_through_black_is_one_transition_while_there_are_faint_signs(
    faint: int, cuts: list[int]
) -> None:
    """A probability of 0.35 goes on, 0.08 does not."""
    frames = film(120, [35, 65], [*range(30, 38), *range(62, 70)])
    for index in range(38, 62):
        frames[index][0, 0, 1] = faint
    assert found(LearnedCuts(Reader(), min_scene_len=1), frames) == cuts


def test_faint_signs_alone_are_no_transition_and_do_not_go_on_for_ever() -> None:
    frames = film(600, [20])
    for index in range(600):
        frames[index][0, 0, 1] = 100
    finder = LearnedCuts(Reader(), trim=True)
    assert found(finder, frames) == [20] and finder.transitions == {}
    assert finder.settled == 600


@pytest.mark.parametrize("count", [1, 3, 7])
@pytest.mark.parametrize("signs", [(40,), (47,), (40, 47)])
def test_a_flash_is_no_cut_whatever_the_network_says(count: int, signs: tuple[int, ...]) -> None:
    frames = film(100, [40 if sign == 40 else 40 + count for sign in signs])
    for index, frame in enumerate(frames):
        frame[1:] = 250 if 40 <= index < 40 + count else 40
    assert found(LearnedCuts(Reader(), min_scene_len=1), frames) == []
    for frame in frames[40 + count :]:
        frame[1:] = 120  # another shot after it
    assert len(found(LearnedCuts(Reader(), min_scene_len=10), frames)) == 1


def test_transitions_at_the_ends_are_left_out_too() -> None:
    frames = film(80, [5, 75], [*range(10), *range(70, 80)])
    finder = LearnedCuts(Reader(), trim=True)
    assert found(finder, frames) == [10, 70]
    assert finder.transitions == {0: 10, 70: 10}


def test_a_cut_is_no_transition_and_signs_of_one_alone_are_no_cut() -> None:
    finder = LearnedCuts(Reader(), trim=True)
    assert found(finder, film(120, [40], [39, 80, 81, 82, 83, 84])) == [40]
    assert finder.transitions == {}


def test_a_gated_network_sees_windows_around_changes_alone() -> None:
    frames = film(1000, [300, 310, 700])
    reader = Reader()
    assert found(LearnedCuts(reader, min_scene_len=1, gate=Gate()), frames) == [300, 310, 700]
    assert len(reader.seen) == 2
    assert number(reader.seen[0][CONTEXT]) == 300 - BEFORE


@pytest.mark.parametrize("end", [94, 95, 98, 101, 102, 110])
def test_a_gated_network_follows_a_transition_beyond_its_window(end: int) -> None:
    """The dissolve goes on where the test sees nothing any more, behind frame 94."""
    frames = film(200, [60], range(60, end))
    finder = LearnedCuts(Reader(), gate=Gate(), trim=True)
    assert found(finder, frames) == [60, end]


def gray(level: float) -> Frames:
    return np.full((27, 48, 3), round(level), np.uint8)


def test_the_gate_stays_shut_over_stillness_motion_and_noise() -> None:
    rng = np.random.default_rng(0)
    painting = rng.integers(0, 256, (27, 200, 3)).astype(np.float32)
    for frames in (
        [gray(90)] * 40,
        [np.clip(gray(90) + rng.normal(0, 6, (27, 48, 3)), 0, 255).astype(np.uint8)] * 40,
        [painting[:, n : n + 48].astype(np.uint8) // 8 + 60 for n in range(40)],
    ):
        gate = Gate()
        assert not any(gate.opens(frame) for frame in frames)


def test_the_gate_opens_at_cuts_dissolves_and_dark_fades() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 120, (27, 48, 3)), rng.integers(100, 256, (27, 48, 3))
    shares = [0.0] * 20 + [n / 24 for n in range(25)] + [1.0] * 10
    dissolve = [(one * (1 - s) + other * s).astype(np.uint8) for s in shares]
    for frames in (
        [gray(90)] * 20 + [gray(100)],
        dissolve,
        [gray(8 * (1 - s)) for s in shares],
    ):
        gate = Gate()
        opened = [gate.opens(frame) for frame in frames]
        assert any(opened)
