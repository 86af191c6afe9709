"""The frames of a clip that captioners choose: each has its own, from one decode."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from curate.tasks.captioners.frames import parts_for
from curate.tasks.stage import Clip, Video
from curate.tasks.video.span import Pick, SpanShape
from curate.tasks.video.timed_pictures import seconds_of
from tests.media import footage, picture, write_image, write_video


@dataclass
class Chooser:
    """A captioner as far as frames go: always the same choice."""

    pick: Pick
    shapes: list[SpanShape] = field(default_factory=list)

    def choose_frames(self, shape: SpanShape) -> Pick:
        self.shapes.append(shape)
        return self.pick


def clip(source: Path, frames: int) -> Clip:
    """All of a source, as one clip."""
    video, values = Video(1, 1, str(source), source.name, {}), {"num_frames": frames}
    return Clip(1, 1, 0, video, 0, 1 << 40, Fraction(1, 1 << 38), values, source.parent)


def whole_clip(found: Clip, choosers: Any) -> list[Any]:
    """The frames of the clip that each of them chose."""
    parts = parts_for(found, [(chooser, None) for chooser in choosers])
    assert all(part.window is None for of_one in parts for part in of_one)
    return [part.frames for of_one in parts for part in of_one]


def test_each_captioner_gets_the_frames_that_it_chose(tmp_path: Path) -> None:
    source = write_video(tmp_path / "drawn.mp4", footage(20, ()))
    whole, small = Chooser(Pick([0, 19])), Chooser(Pick([3, 3, 7], (32, 16), [1, 1, 2]))
    choosers: Any = [whole, small]
    first, second = whole_clip(clip(source, 20), choosers)
    (shape,) = whole.shapes
    assert shape.num_frames == 20
    assert first.shape == (2, shape.height, shape.width, 3)
    assert second.shape == (3, 16, 32, 3)
    np.testing.assert_array_equal(second[0], second[1])
    assert seconds_of(second, 8) == [1, 1, 2]
    assert seconds_of(second[1:], 8) == [0, 1 / 8], "a part of them knows no times"
    assert seconds_of(first, 8) == [0, 1 / 8]


def test_a_picture_is_shown_as_often_as_it_is_chosen(tmp_path: Path) -> None:
    source = write_image(tmp_path / "image.png", picture(5))
    whole, small = Chooser(Pick([0])), Chooser(Pick([0, 0], (8, 6)))
    choosers: Any = [whole, small]
    first, second = whole_clip(clip(source, 1), choosers)
    np.testing.assert_array_equal(first[0], picture(5))
    assert second.shape == (2, 6, 8, 3)
    height, width = picture(5).shape[:2]
    assert small.shapes == [SpanShape(1, None, width, height)]
