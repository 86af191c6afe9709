"""Cuts equal those of scenedetect.detect(), and drawn cuts are all found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import scenedetect
from numpy.typing import NDArray
from scenedetect.detectors import AdaptiveDetector, ContentDetector
from scenedetect.scene_manager import DEFAULT_MIN_WIDTH

from curate.tasks.video.decode import decode, open_media, video_stream
from curate.tasks.video.scenes import (
    LONGER_SIDE,
    Candidate,
    CutFinder,
    Detector,
    DetectorTime,
    Rate,
    Shrinker,
    Stride,
)
from curate.tasks.video.screening import SCREENED
from tests.media import CLOSED, draw, footage, write_video

CONSTANT_RATE = (
    "closed", "b_frames", "long_gop", "mkv", "webm", "avi_h264", "ten_bit", "yuv444", "odd",
    "audio",
    "rotated90",
)  # fmt: skip
CUTS = (20, 37, 60, 90)


def found(path: Path, detector: Detector) -> list[int]:
    """Cuts of our finders, as frame numbers: of the exact one and of the one that split uses."""
    finders = [make(detector, None, 15) for make in (CutFinder, SCREENED[detector])]
    shrinker = Shrinker()
    cuts: tuple[list[int], list[int]] = [], []
    with open_media(str(path)) as container:
        stream = video_stream(container)
        rate = Rate(Fraction(stream.time_base or 1), Fraction(stream.average_rate or 25))
        first = None
        for index, frame in enumerate(decode(container, stream)):
            pts = frame.pts or 0
            first = pts if first is None else first
            for finder, its in zip(finders, cuts, strict=True):
                its += finder.push(Candidate(index, pts - first, rate, frame, shrinker.shrink))
    assert cuts[0] == cuts[1]
    return cuts[0]


def expected(path: Path, detector: Detector) -> list[int]:
    """The same by PySceneDetect's own reader."""
    theirs = (
        AdaptiveDetector()
        if detector == "adaptive"
        else ContentDetector(threshold=25, min_scene_len=15)
    )
    return [start.frame_num for start, _ in scenedetect.detect(str(path), theirs)][1:]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scenes")


@pytest.mark.parametrize("detector", ["adaptive", "content"])
@pytest.mark.parametrize("kind", CONSTANT_RATE)
def test_cuts_equal_scenedetect_on_every_kind_of_file(
    folder: Path, kind: str, detector: Detector
) -> None:
    drawn = draw(kind, folder, (320, 192))
    assert found(drawn.path, detector) == expected(drawn.path, detector) == list(drawn.cuts)


@pytest.mark.parametrize("detector", ["adaptive", "content"])
@pytest.mark.parametrize("size", [(160, 96), (854, 480), (240, 426)], ids=str)
def test_all_hard_cuts_are_found_as_scenedetect_does(
    folder: Path, detector: Detector, size: tuple[int, int]
) -> None:
    path = folder / f"{size}.mp4"
    if not path.exists():
        write_video(path, footage(110, CUTS, size=size), CLOSED)
    assert found(path, detector) == expected(path, detector) == list(CUTS)


@pytest.mark.parametrize("detector", ["adaptive", "content"])
def test_cuts_closer_than_min_scene_len_are_merged_as_scenedetect_does(
    tmp_path: Path, detector: Detector
) -> None:
    path = write_video(tmp_path / "a.mp4", footage(100, (20, 24, 29, 60, 64)), CLOSED)
    assert found(path, detector) == expected(path, detector)


def test_detection_pictures_are_those_of_opencv(folder: Path) -> None:
    path = draw("closed", folder, (640, 384)).path
    capture, shrinker = cv2.VideoCapture(str(path)), Shrinker()
    with open_media(str(path)) as container:
        for frame in decode(container, video_stream(container)):
            theirs = cv2.resize(capture.read()[1], (256, 154), interpolation=cv2.INTER_LINEAR)
            assert np.array_equal(shrinker.shrink(frame), theirs)


def drawn_candidates(
    pictures: Iterable[NDArray[np.uint8]], rate: Fraction = Fraction(25)
) -> Iterator[Candidate]:
    """What a finder gets of frames of these pictures."""
    for index, picture in enumerate(pictures):
        frame = Candidate(index, index, Rate(1 / rate, rate), None, Shrinker().shrink)
        frame.picture = picture
        yield frame


def test_the_score_is_the_library_s() -> None:
    ours, theirs = CutFinder("content", None, 15), ContentDetector(25, 15)
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (90, 160, 3)).astype(np.uint8) for _ in range(5)]
    for frame in drawn_candidates(pictures):
        ours.push(frame)
        time = DetectorTime(frame.index, frame.pts, *frame.rate)
        theirs.process_frame(time, frame.picture)
        assert ours._score == ours._detector._frame_score == theirs._frame_score


def test_stride_cuts_at_multiples_by_time_not_by_frame_count() -> None:
    finder, rate = Stride(2.0), Rate(Fraction(1, 10), Fraction(10))
    pts = [0, 10, 19, 21, 39, 40, 85, 90, 100]  # tenths of a second, with a gap over 60 and 80
    frames = [Candidate(i, p, rate, None, Shrinker().shrink) for i, p in enumerate(pts)]
    assert [cut for frame in frames for cut in finder.push(frame)] == [3, 5, 6, 8]


def test_a_frame_that_is_found_late_was_marked_as_suspect(tmp_path: Path) -> None:
    finder = CutFinder("adaptive", None, 15)
    suspects, cuts = set(), []
    for frame in drawn_candidates(footage(60, (30,))):
        cuts += finder.push(frame)
        suspects |= {frame.index} if finder.suspect else set()
    assert cuts == [30] and set(cuts) <= suspects


def test_pictures_are_as_small_as_those_of_pyscenedetect() -> None:
    assert LONGER_SIDE == DEFAULT_MIN_WIDTH
