"""Optical flow of two small pictures, and the sharpness of one."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.tasks.video.flow import measure_pair
from tests.media import picture


@settings(max_examples=20, deadline=None)
@given(st.integers(-5, 5), st.integers(-5, 5))
def test_a_shift_is_measured(dx: int, dy: int) -> None:
    rng = np.random.default_rng(1)
    texture = np.kron(rng.integers(0, 256, (24, 40)), np.ones((8, 8)))
    import cv2

    smooth = cv2.GaussianBlur(texture.astype(np.uint8), (0, 0), 3)
    before = np.ascontiguousarray(smooth[16:160, 16:272]).astype(np.uint8)
    after = np.ascontiguousarray(smooth[16 + dy : 160 + dy, 16 + dx : 272 + dx]).astype(np.uint8)
    found = measure_pair(before, after, 1.0, 0.5).flow
    assert found is not None
    expected = 100 * np.hypot(dx, dy) / np.hypot(144, 256) / 0.5
    assert found == pytest.approx(expected, rel=0.25, abs=0.15)


def test_flow_is_the_same_whatever_pairs_were_measured_before() -> None:
    """A DIS that has seen a small picture keeps to its finer scale."""
    rng = np.random.default_rng(0)
    colours = cv2.resize(picture(1, size=(320, 180), style="text"), (256, 144))
    before = cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY).astype(np.uint8)
    after = before ^ (rng.random(before.shape) < 0.02)
    found = set()
    for height, width in ((144, 256), (40, 40), (32, 200)):
        noise = rng.integers(0, 256, (2, height, width)).astype(np.uint8)
        measure_pair(*noise, 1.0, 0.25)
        found.add(measure_pair(before, after, 1.0, 0.25).flow)
    assert len(found) == 1


def test_a_picture_too_small_for_flow_has_none() -> None:
    gray = cv2.cvtColor(picture(1, size=(160, 96)), cv2.COLOR_BGR2GRAY).astype(np.uint8)
    tiny = gray[:12, :40].copy()
    assert measure_pair(tiny, tiny[::-1].copy(), 1.0, 0.1).flow is None


def test_a_narrow_strip_has_no_flow_and_ends_no_process() -> None:
    """OpenCV's DIS has a segmentation fault for strips of 16 to 28 rows with noise in them."""
    random = np.random.default_rng(0)
    strip = random.integers(0, 256, (28, 256)).astype(np.uint8)
    assert measure_pair(strip, np.roll(strip, (5, 40), (0, 1)), 1.0, 0.04).flow is None
