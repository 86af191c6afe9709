"""Combs and blocks of frames in full size."""

from __future__ import annotations

from fractions import Fraction
from statistics import median

import av
import cv2
import numpy as np
import pytest

from curate.tasks.video.full_size import FullSize
from tests.tasks.scenery import painting


def looked(pictures: list[np.ndarray]) -> FullSize:
    """Frames of 10 a second, as PyAV gives them."""
    frames = []
    for number, gray in enumerate(pictures):
        frame = av.VideoFrame.from_ndarray(gray, "gray").reformat(format="yuv420p")
        frame.pts, frame.time_base = number, Fraction(1, 10)
        frames.append(frame)
    full = FullSize()
    assert [f.pts for f in full.seen(frames)] == list(range(len(pictures)))
    return full


def panned(count: int, step: int = 6) -> list[np.ndarray]:
    return [painting(4)[:200, step * n : step * n + 320].copy() for n in range(count)]


def woven(pictures: list[np.ndarray]) -> list[np.ndarray]:
    """Frames of two fields each."""
    made = []
    for first, second in zip(pictures[::2], pictures[1::2], strict=True):
        frame = first.copy()
        frame[1::2] = second[1::2]
        made.append(frame)
    return made


def test_combs_are_seen_without_a_flag() -> None:
    assert [look.combed for _, look in looked(panned(24)).looks] == [False] * 3
    assert [look.combed for _, look in looked(woven(panned(48))).looks] == [True] * 3


def test_coarser_coding_has_more_blocks() -> None:
    found = []
    for quality in (95, 20, 4):
        coded = [
            cv2.imdecode(cv2.imencode(".jpg", p, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 0)
            for p in panned(3)
        ]
        found.append(median(look.blocks or 0.0 for _, look in looked(coded).looks))
    assert found == sorted(found) and found[2] > 1.2 * found[0]


@pytest.mark.parametrize("size", [(1, 1), (16, 64), (64, 64)])
def test_flat_and_tiny_frames_say_nothing_or_a_number(size: tuple[int, int]) -> None:
    looks = looked([np.full(size, 128, np.uint8)] * 4).looks
    assert all(look.blocks is None or np.isfinite(look.blocks) for _, look in looks)
    assert not any(look.combed for _, look in looks)
