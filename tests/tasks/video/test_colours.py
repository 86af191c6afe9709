"""Colours of frames in RGB, as swscale has them."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Interpolation

from curate.configs.row_errors import UnsupportedColours
from curate.tasks.video.colours import refuse_colours, rgb_matrix
from curate.tasks.video.geometry import Converter, Geometry
from tests.media import picture

SPACES = {
    1: "bt709",
    2: "unspecified",
    4: "fcc",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    9: "bt2020",
}


def frame_of(form: str, space: int, color_range: ColorRange) -> VideoFrame:
    """A drawn picture, taken for one of this colour space."""
    image = np.ascontiguousarray(np.roll(picture(3, size=(320, 192)), 40, axis=2))
    frame = VideoFrame.from_ndarray(image, "rgb24").reformat(format=form)
    frame.colorspace, frame.color_range = space, color_range
    return frame


@pytest.mark.parametrize("color_range", [ColorRange.UNSPECIFIED, ColorRange.MPEG, ColorRange.JPEG])
@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("form", ["yuv420p", "yuv422p", "yuvj420p"])
def test_scaled_pictures_have_the_colours_that_swscale_gives(
    form: str, space: int, color_range: ColorRange
) -> None:
    frame = frame_of(form, space, color_range)
    assert rgb_matrix(space, full=False) is not None
    converter = Converter((200, 120), Geometry(320, 192, Fraction(1), 0), Interpolation.BILINEAR)
    exactly = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
    theirs = frame.reformat(200, 120, "rgb24", interpolation=exactly).to_ndarray()
    apart = converter.convert(frame).astype(int) - theirs
    assert np.abs(apart.mean(axis=(0, 1))).max() < 0.8, "no colour is lighter or darker"
    assert np.abs(apart).mean() < 0.7 and np.percentile(np.abs(apart), 99) <= 3


@pytest.mark.parametrize("space", range(18))
def test_what_swscale_cannot_convert_is_refused_by_name(space: int) -> None:
    frame = frame_of("yuv420p", space, ColorRange.MPEG)
    try:
        frame.reformat(format="rgb24")
    except OSError:
        with pytest.raises(UnsupportedColours, match=r"^a\.mp4 stores its colours as [a-z]"):
            refuse_colours("a.mp4", frame)
        assert rgb_matrix(space, full=False) is None
    else:
        refuse_colours("a.mp4", frame)
