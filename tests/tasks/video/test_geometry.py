"""Sizes, pixel shapes and rotations."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.tasks.video.decode import decode, open_media, video_stream
from curate.tasks.video.geometry import Geometry, geometry
from tests.media import CLOSED, MATRICES, draw, picture, write_video


@pytest.mark.parametrize(
    ("kind", "degrees"),
    [("closed", 0), ("rotated90", 90), ("rotated180", 180), ("rotated270", 270)],
)
def test_rotation_is_read_clockwise_and_undone(tmp_path: Path, kind: str, degrees: int) -> None:
    with open_media(str(draw(kind, tmp_path).path)) as container:
        stream = video_stream(container)
        frame = next(decode(container, stream))
        shape = geometry(stream, frame)
        assert shape.rotation == degrees
        assert shape.size == (160, 96)


@pytest.mark.parametrize("matrix", MATRICES)
def test_any_display_matrix_is_followed(tmp_path: Path, matrix: tuple[int, int, int, int]) -> None:
    stored = picture(5)
    path = write_video(tmp_path / "a.mp4", [stored] * 3, replace(CLOSED, matrix=matrix))
    with open_media(str(path)) as container:
        stream = video_stream(container)
        frame = next(decode(container, stream))
        shape = geometry(stream, frame)
    shown = shape.upright(frame.to_ndarray(format="rgb24"))
    expected = MATRICES[matrix](stored)
    assert shape.size == (expected.shape[1], expected.shape[0])
    assert np.abs(shown.astype(int) - expected).mean() < 6


def test_wide_pixels_widen_the_picture(tmp_path: Path) -> None:
    with open_media(str(draw("anamorphic", tmp_path).path)) as container:
        stream = video_stream(container)
        shape = geometry(stream, next(decode(container, stream)))
        assert shape.sample_aspect_ratio == Fraction(16, 11)
        assert shape.size == (round(160 * 16 / 11), 96)


SHAPES = st.builds(
    Geometry,
    st.integers(1, 9000),
    st.integers(1, 9000),
    st.fractions(Fraction(1, 8), 8, max_denominator=99),
    st.sampled_from([0, 90, 180, 270]),
)


@settings(max_examples=60)
@given(SHAPES, st.integers(1, 2000))
def test_fit_keeps_the_form_and_never_enlarges(shape: Geometry, side: int) -> None:
    width, height = shape.fit(shorter=side)
    whole = shape.square
    assert min(width, height) == min(side, *whole)
    assert width <= whole[0] and height <= whole[1]
    assert abs(width * whole[1] - height * whole[0]) <= max(whole)  # off by less than a pixel
    assert max(shape.fit(longer=side)) == min(side, max(whole))


@settings(max_examples=30)
@given(SHAPES)
def test_pixels_are_stretched_never_shrunk(shape: Geometry) -> None:
    width, height = shape.square
    assert width >= shape.coded_width and height >= shape.coded_height
    assert width == shape.coded_width or height == shape.coded_height


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_upright_turns_clockwise(degrees: int) -> None:
    picture = np.array([[1, 2], [3, 4]])
    corner = {0: 1, 90: 3, 180: 4, 270: 2}[degrees]
    assert Geometry(2, 2, Fraction(1), degrees).upright(picture)[0, 0] == corner
