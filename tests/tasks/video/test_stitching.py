"""False cuts are mended and true ones stay; the drawings are those of benchmarks/stitch.py."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from benchmarks.stitch import KINDS, Image, flash, scene, shot, tally, view
from pydantic import ValidationError

from curate.configs.settings import Settings
from curate.tasks.split import Split
from curate.tasks.stage import Context, NewClip, Video
from curate.tasks.video.samples import Samples
from curate.tasks.video.scenes import Candidate, CutFinder, Detector, Rate, Shrinker
from curate.tasks.video.stitching import (
    SAME_DETAILS,
    Edge,
    Stitcher,
    agree,
    is_false,
    moved,
    washed,
    without_bars,
)
from tests.media import CLOSED, write_video


@cache
def drawn(kind: str) -> list[Image]:
    return KINDS[kind][0](3)


def cuts(frames: list[Image], finder: CutFinder) -> list[int]:
    """The cuts that a finder tells, without a video between."""
    found = []
    for index, frame in enumerate(frames):
        candidate = Candidate(
            index, index, Rate(Fraction(1, 24), Fraction(24)), None, Shrinker().shrink
        )
        candidate.picture = np.ascontiguousarray(frame[..., ::-1])
        found += finder.push(candidate)
    return found + finder.flush()


@pytest.mark.parametrize("detector", ["adaptive", "content"])
@pytest.mark.parametrize("kind", KINDS)
def test_false_cuts_are_mended_and_true_ones_stay(kind: str, detector: Detector) -> None:
    true_cuts, frames = KINDS[kind][1], drawn(kind)
    plain = cuts(frames, CutFinder(detector, None, 15))
    stitched = cuts(frames, Stitcher(CutFinder(detector, None, 15), 15))
    true, false = tally(true_cuts, stitched)
    assert false == 0, f"mended: {plain} -> {stitched}"
    assert true >= tally(true_cuts, plain)[0], f"no true cut removed: {plain} -> {stitched}"
    if detector == "content" and not true_cuts:
        assert plain, "there is a false cut to mend"


def edge(image: Image, index: int = 0) -> Edge:
    small = cv2.resize(image[..., ::-1], (96, 54), interpolation=cv2.INTER_AREA)
    return Edge(index, index / 24, small.astype(np.uint8))


@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (30, 0), (-50, 3), (60, -9)])
def test_a_move_is_found_as_it_was_made(dx: int, dy: int) -> None:
    noise = np.random.default_rng(1).normal(0, 20, (120, 260))
    before, after = noise[30:84, 80:176], noise[30 + dy : 84 + dy, 80 + dx : 176 + dx]
    correlation, place = moved(np.ascontiguousarray(before), np.ascontiguousarray(after))
    assert correlation == pytest.approx(1, abs=1e-6)
    assert place == (dy, dx)


def test_pictures_without_details_correlate_with_nothing() -> None:
    flat, noise = np.zeros((54, 96)), np.random.default_rng(1).normal(0, 20, (54, 96))
    assert moved(flat, noise)[0] == moved(flat, flat)[0] == -1
    assert abs(moved(noise, np.random.default_rng(2).normal(0, 20, (54, 96)))[0]) < 0.3


def test_what_is_moved_agrees_and_another_scene_does_not() -> None:
    for seed in range(6):
        painting, other = scene(seed, 60), scene(seed + 50, 60)  # of the same colours
        assert agree(edge(view(painting, 10)), edge(view(painting, 100)))
        assert not agree(edge(view(painting, 10)), edge(view(other, 10)))


def test_other_colours_do_not_agree_though_the_shapes_do() -> None:
    image = view(scene(1), 10)
    assert not agree(edge(image), edge(np.ascontiguousarray(image[..., ::-1] // 2)))


def test_blank_frames_agree_with_nothing_and_count_as_a_flash() -> None:
    white, seen = edge(np.full((180, 320, 3), 255, np.uint8)), edge(view(scene(1), 10))
    assert not agree(white, white)
    assert washed(white, seen)
    assert washed(edge(view(scene(1), 10) // 2 + 120), seen)
    assert not washed(edge(view(scene(2), 10)), seen)


def test_bars_of_both_frames_are_left_out() -> None:
    first, second = (view(scene(n, 20), 10) for n in (1, 2))
    for image in (first, second):
        image[:30] = image[-30:] = 0
    bars = [edge(first, 0), edge(second, 1)]
    assert moved(bars[0].details, bars[1].details)[0] > 0.5
    bare = without_bars(bars)
    assert bare[0].picture.shape[0] < 54 - 16
    assert moved(bare[0].details, bare[1].details)[0] < SAME_DETAILS
    assert not is_false(1, bars)
    black = [edge(np.zeros((180, 320, 3), np.uint8))] * 2
    assert without_bars(black) == black


def test_an_insert_between_frames_that_agree_is_no_flash() -> None:
    one, other = view(scene(1), 10), view(scene(2), 10)
    frames = [edge(image, n) for n, image in enumerate([one, one, other, other, one, one])]
    assert not is_false(2, frames)
    lit = [edge(image, n) for n, image in enumerate([one, one, one // 3 + 170, one, one])]
    assert is_false(2, lit)
    assert is_false(3, lit, [2]), "the end of a flash is judged by what came before it"


# ---------------------------------------------------------------- by split


def split(frames: list[Image], folder: Path, **options: Any) -> list[NewClip]:
    path = write_video(folder / "a.mp4", frames, CLOSED)
    chosen = {"detector": "content", "min_seconds": 0, "max_seconds": None} | options
    stage = Split(Split.Options(**chosen), Context(Settings(home=folder)))
    return list(stage.run(Video(1, 1, str(path), path.name, {})).clips)


def test_a_mended_clip_is_as_if_nobody_had_cut_it(tmp_path: Path) -> None:
    frames = flash(shot(3, 60), 25, 3, 0.95)
    assert len(split(frames, tmp_path / make(tmp_path))) == 2
    folders = [tmp_path / make(tmp_path) for _ in range(2)]
    mended = split(frames, folders[0], stitch=True)
    whole = split(frames, folders[1], detector="stride", stride_seconds=3600)
    assert mended == whole
    read = [Samples.open(Settings(home=f).samples, 1, 0, "") for f in folders]
    assert read[0].times == read[1].times
    assert read[0].pairs == read[1].pairs


def test_a_true_cut_gives_the_same_clips_though_it_is_known_later(tmp_path: Path) -> None:
    frames = [*shot(3, 50), *shot(1003, 40)]
    folders = [tmp_path / make(tmp_path) for _ in range(2)]
    plain, stitched = (
        split(frames, folder, stitch=stitch, sample_fps=8)
        for folder, stitch in zip(folders, (False, True), strict=True)
    )
    assert [c.scores["start_frame"] for c in stitched] == [0, 50]
    for one, other in zip(plain, stitched, strict=True):
        assert (one.start_pts, one.end_pts) == (other.start_pts, other.end_pts)
        assert one.scores["hash_first"] == other.scores["hash_first"]
    read = [Samples.open(Settings(home=f).samples, 1, 1, "") for f in folders]
    assert read[1].times[0] == 0
    gaps = np.diff(read[1].times)
    assert len(read[1].times) >= len(read[0].times) - 2 and gaps.max() < 0.26


@pytest.mark.parametrize("left", [1, 4])
def test_a_cut_just_before_the_end_is_judged_too(left: int, tmp_path: Path) -> None:
    frames = [*shot(3, 40), *shot(1003, left)]
    found = split(frames, tmp_path, stitch=True, min_scene_len=5)
    assert [c.scores["start_frame"] for c in found] == [0, 40] or left == 1


def test_stride_has_no_false_cuts() -> None:
    with pytest.raises(ValidationError, match="stride finds none"):
        Split.Options(stitch=True, detector="stride")


_NUMBERS = count()


def make(folder: Path) -> str:
    name = str(next(_NUMBERS))
    (folder / name).mkdir()
    return name


def test_a_picture_of_one_dot_is_borne() -> None:
    dot = Edge(0, 0.0, np.full((9, 9, 3), 90, np.uint8))
    assert not is_false(1, [dot, replace(dot, index=1)])
