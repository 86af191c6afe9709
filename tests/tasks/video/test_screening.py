"""What is screened gives the cuts of the exact scores, on drawings made to deceive it too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, ColorTrc
from numpy.typing import NDArray

from curate.tasks.video.decode import decode, open_media, video_stream
from curate.tasks.video.scenes import (
    Candidate,
    CutFinder,
    Detector,
    Rate,
    Shrinker,
)
from curate.tasks.video.screening import PIXELS, SCREENED, Mosaic, Screen, ScreenedAdaptive, bounds
from tests.media import SOUND, draw

RATE = Rate(Fraction(1, 25), Fraction(25))
FRAMES = 40
Planes = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]
Options = tuple[Detector, float | None, int | float]

OPTIONS: list[Options] = [
    ("adaptive", None, 15), ("adaptive", 1.2, 1), ("adaptive", 2.0, 0.2), ("adaptive", 6.0, 4),
    ("content", None, 15), ("content", 12.0, 1), ("content", 18.0, 0.3), ("content", 40.0, 6),
    ("content", 3.0, 40), ("content", 0.07, 2), ("panda", None, 25),
]  # fmt: skip


# ---------------------------------------------------------------- hostile drawings


def _noise(rng: np.random.Generator, spread: float, width: int, height: int) -> NDArray[Any]:
    return rng.normal(0, spread, (height, width))


def _flat(value: float, width: int, height: int) -> NDArray[Any]:
    return np.full((height, width), float(value))


def gray_noise(rng: np.random.Generator, i: int, width: int, height: int) -> Planes:
    """Grain whose chroma is one off, so that hues are any; how strong it is goes up and down."""
    spread = 2 + 1.5 * abs(np.sin(i / 4))
    chroma = (width // 2, height // 2)
    luma = 120 + _noise(rng, 6 * spread, width, height)
    u, v = (128 + _noise(rng, spread / 3, *chroma) for _ in range(2))
    return luma, u, v


def flicker(rng: np.random.Generator, i: int, width: int, height: int) -> Planes:
    """One picture in light that changes by what just reaches the levels, and a little more."""
    light = 90 + rng.choice([0, 30, 42, 46, 60]) + _noise(rng, 2, width, height)
    chroma = _flat(128, width // 2, height // 2)
    return light, chroma, chroma


def checks(rng: np.random.Generator, i: int, width: int, height: int) -> Planes:
    """A board of single pixels, which is moved by one pixel to either side."""
    y, x = np.indices((height, width))
    turned = rng.random() < 0.3
    return (
        np.where((x + y + turned) % 2, 200.0, 60.0),
        _flat(128, width // 2, height // 2),
        _flat(140, width // 2, height // 2),
    )


def stripes(rng: np.random.Generator, i: int, width: int, height: int) -> Planes:
    """Columns of one pixel, of which every n-th changes its light or its colour."""
    every = int(rng.choice([2, 3, 4, 5, 8]))
    luma = _flat(110, width, height)
    luma[:, int(rng.integers(every)) :: every] += rng.choice([0, 60, 120])
    u, v = _flat(120, width // 2, height // 2), _flat(136, width // 2, height // 2)
    v[:, int(rng.integers(every)) :: every] += rng.choice([0, 40, 90])
    return luma, u, v


def text(rng: np.random.Generator, i: int, width: int, height: int) -> Planes:
    """Pages of fine text, which are turned."""
    page = np.full((height, width), 235, np.uint8)
    seeded = np.random.default_rng(i // int(rng.choice([3, 5, 9])))
    for line in range(8, height, 9):
        words = "".join(chr(97 + n) for n in seeded.integers(0, 26, width // 5))
        cv2.putText(page, words, (2, line), cv2.FONT_HERSHEY_PLAIN, 0.6, 16, 1)
    chroma = _flat(128, width // 2, height // 2)
    return page.astype(float), chroma, chroma


def colours(rng: np.random.Generator, i: int, width: int, height: int) -> Planes:
    """Saturated blocks, of which more and more change."""
    held = np.random.default_rng(1)
    side = 4
    shape = (height // 2 // side + 1, width // 2 // side + 1)
    planes = [held.integers(16, 240, shape).astype(float) for _ in range(3)]
    change = rng.random(shape) < 0.02 * (i % 20)
    for one in planes:
        one[change] = rng.integers(16, 240, int(change.sum()))
    u, v = (one.repeat(side, 0).repeat(side, 1)[: height // 2, : width // 2] for one in planes[1:])
    luma = planes[0].repeat(2 * side, 0).repeat(2 * side, 1)[:height, :width]
    return luma, u, v


def salt(rng: np.random.Generator, i: int, width: int, height: int) -> Planes:
    """Single pixels that turn white and back: as many as make the score of a cut."""
    share = rng.choice([0.0, 0.1, 0.17, 0.19, 0.25])
    luma = np.where(rng.random((height, width)) < share, 235.0, 16.0)
    chroma = _flat(128, width // 2, height // 2)
    return luma, chroma, chroma


def specks(rng: np.random.Generator, i: int, width: int, height: int) -> Planes:
    """One pixel of 800 turns white, now and then: an estimate may see none of them."""
    luma = np.where(rng.random((height, width)) * (i % 6 == 3) > 1 - 1 / 800, 235.0, 16.0)
    chroma = _flat(128, width // 2, height // 2)
    return luma, chroma, chroma


def action(rng: np.random.Generator, i: int, width: int, height: int) -> Planes:
    """Motion near the level all the time, with cuts in it."""
    y, x = np.indices((height, width))
    shift = i * 9 + 70 * (i // 11)
    luma = 128 + 70 * np.sin((x + shift) / 17) * np.cos((y - shift / 2) / 13)
    u = 128 + 40 * np.sin((x[::2, ::2] + shift) / 29)
    v = 128 + 40 * np.cos((y[::2, ::2] + shift) / 23)
    return luma + _noise(rng, 3, width, height), u, v


KINDS = {
    kind.__name__: kind
    for kind in (gray_noise, flicker, checks, stripes, text, colours, salt, specks, action)
}
SIZES = [(160, 96), (342, 192), (288, 512)]  # as it is, 1.3 and 2 pixels of it to one


def film(kind: str, size: tuple[int, int], seed: int = 0) -> Iterator[VideoFrame]:
    """Frames of a kind, as a decoder gives them."""
    rng = np.random.default_rng(seed)
    for i in range(FRAMES):
        frame = VideoFrame(*size, "yuv420p")
        for stored, drawn in zip(frame.planes, KINDS[kind](rng, i, *size), strict=True):
            lines = np.zeros((stored.height, stored.line_size), np.uint8)
            lines[:, : stored.width] = np.rint(drawn).clip(0, 255)
            stored.update(lines.tobytes())
        yield frame


# ---------------------------------------------------------------- cuts


def candidates(frames: list[VideoFrame]) -> Callable[[], Iterator[Candidate]]:
    """What finders are given of the frames; their pictures are made once for all finders."""
    shrink, pictures = Shrinker().shrink, {}

    def small(frame: VideoFrame) -> NDArray[np.uint8]:
        if id(frame) not in pictures:
            pictures[id(frame)] = shrink(frame)
        return pictures[id(frame)]

    return lambda: (Candidate(i, i, RATE, frame, small) for i, frame in enumerate(frames))


def assert_same_cuts(frames: list[VideoFrame], options: list[Options] = OPTIONS) -> None:
    given = candidates(frames)
    for detector, threshold, length in options:
        makers = (CutFinder, SCREENED[detector])
        exact, finder = (make(detector, threshold, length) for make in makers)
        for one, other in zip(given(), given(), strict=True):
            expected, found = exact.push(one), finder.push(other)
            # at the same frame, for those that may begin a scene are kept for a while only
            assert found == expected, (detector, threshold, length, one.index)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_cuts_are_those_of_exact_scores(kind: str, size: tuple[int, int]) -> None:
    assert_same_cuts(list(film(kind, size)))


@pytest.mark.parametrize("kind", [kind for kind in SOUND if kind not in ("mpg", "m4v")])
def test_cuts_of_files_are_those_of_exact_scores(kind: str, tmp_path: Path) -> None:
    with open_media(str(draw(kind, tmp_path).path)) as container:
        assert_same_cuts(list(decode(container, video_stream(container))), OPTIONS[:6])


def test_frames_of_another_form_in_the_midst_change_nothing() -> None:
    frames = [*film("action", (160, 96))][:20]
    for frame in film("action", (160, 96), seed=1):
        other = frame.reformat(format="yuv444p" if len(frames) % 2 else "yuv420p")
        other.color_range = ColorRange.JPEG if len(frames) > 30 else ColorRange.UNSPECIFIED
        frames.append(other)
    assert_same_cuts(frames, OPTIONS[:6])


# ---------------------------------------------------------------- estimates


@pytest.mark.parametrize("kind", ["colours", "gray_noise", "action"])
@pytest.mark.parametrize("size", [*SIZES, (854, 480), (1280, 720), (1024, 576)], ids=str)
@pytest.mark.parametrize("colours_are", ["601", "709", "full range"])
@pytest.mark.parametrize("pixels", PIXELS)
def test_pixels_are_those_of_the_picture(
    kind: str, size: tuple[int, int], colours_are: str, pixels: int
) -> None:
    frame = next(film(kind, size))
    frame.colorspace = 1 if colours_are == "709" else 5
    frame.color_range = ColorRange.JPEG if colours_are == "full range" else ColorRange.MPEG
    first = Candidate(0, 0, RATE, frame, Shrinker().shrink)
    mosaic = Mosaic(first, pixels)
    found, expected = mosaic.pixels(frame), first.picture[mosaic.y, mosaic.x]
    assert 0.9 * pixels <= found.shape[0] * found.shape[1] <= 1.1 * pixels
    # OpenCV weighs neighbours by 32nds here, by 2048ths there
    assert np.abs(found.astype(int) - expected).max() <= 4
    assert np.abs(found.astype(int) - expected).mean() <= 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_within_the_bounds_of_their_estimates(kind: str) -> None:
    screen, exact = Screen(255), CutFinder("content", None, 15)
    given = candidates(list(film(kind, (288, 512), seed=3)))
    estimated = 0
    for one, other in zip(given(), given(), strict=True):
        scored = screen.score(one)
        exact.push(other)
        estimated += not scored.is_exact
        assert scored.is_exact or scored.low <= exact._score <= scored.high
        wide = scored.high - scored.low
        scored.estimate(1)
        assert scored.is_exact or scored.low <= exact._score <= scored.high
        assert scored.is_exact or scored.high - scored.low < wide
        assert scored.exact() == exact._score
    assert estimated == FRAMES - 1


@pytest.mark.parametrize("pixels", PIXELS)
def test_the_bounds_are_those_of_the_worst_picture(pixels: int) -> None:
    rng = np.random.default_rng(0)
    for score in (3, 15, 25, 60):
        most = (179 + 255 + 255) / 3
        drawn = rng.binomial(pixels, score / most, 2000) * most / pixels
        outside = [not low <= score <= high for low, high in (bounds(e, pixels) for e in drawn)]
        assert np.mean(outside) < 0.01
    assert bounds(15, pixels)[0] > 15 / 2 and bounds(0, pixels)[0] == pytest.approx(0)
    assert bounds(0, pixels)[1] > 1, "pixels that change may all have been missed"


def scored_exactly(frames: list[VideoFrame], detector: Detector = "adaptive") -> int:
    """How many pictures a screened finder asks for."""
    asked: set[int] = set()

    def small(frame: VideoFrame) -> NDArray[np.uint8]:
        asked.add(id(frame))
        return Shrinker().shrink(frame)

    finder = SCREENED[detector](detector, None, 15)
    for i, frame in enumerate(frames):
        finder.push(Candidate(i, i, RATE, frame, small))
    return len(asked)


@pytest.mark.parametrize("detector", ["adaptive", "content"])
def test_few_pictures_are_made_of_footage(tmp_path: Path, detector: Detector) -> None:
    with open_media(str(draw("closed", tmp_path).path)) as container:
        frames = list(decode(container, video_stream(container)))
    assert scored_exactly(frames, detector) <= 8, "the first, and those around one cut"


def _tagged(frame: VideoFrame) -> VideoFrame:
    frame.color_trc = ColorTrc.ARIB_STD_B67
    return frame


@pytest.mark.parametrize(
    "made",
    [
        lambda frame: frame.reformat(format="yuv420p10le"),
        lambda frame: frame.reformat(format="rgb24"),
        lambda frame: frame.reformat(format="gray"),
        lambda frame: frame.reformat(format="yuv444p"),
        lambda frame: frame.reformat(20, 16),
        lambda frame: frame.reformat(160, 95),
        _tagged,
    ],
    ids=["ten_bit", "rgb", "gray", "yuv444", "tiny", "odd", "hdr"],
)
def test_what_cannot_be_estimated_is_scored_exactly(
    made: Callable[[VideoFrame], VideoFrame],
) -> None:
    frames = [made(frame) for frame in film("action", (160, 96))]
    assert scored_exactly(frames) == FRAMES
    assert_same_cuts(frames, OPTIONS[:6])


def test_frames_are_let_go_when_their_picture_is_made() -> None:
    for form in ("yuv420p", "yuv444p"):
        screen = Screen(15)
        frames = [one.reformat(format=form) for one in [*film("action", (160, 96))][:4]]
        scored = [screen.score(one) for one in candidates(frames)()]
        held = [one.sketch.frame.decoded is not None for one in scored]
        assert held == [form == "yuv420p"] * 4, "of one that is estimated, pixels may be asked for"
        assert scored[2].exact() > 0 and scored[3].exact() > 0, "the picture before it is there"


def test_three_frames_are_held_of_what_stands_still() -> None:
    finder = ScreenedAdaptive("adaptive", None, 15)
    frame = next(film("colours", (160, 96)))
    given = [*candidates([frame] * 20)()]
    for one in given:
        finder.push(one)
    assert [one.index for one in given if one.decoded is not None] == [17, 18, 19]
