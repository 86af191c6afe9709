"""Frames picked by their numbers are those that decoding the whole span gives, whatever the
container does.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from av.video.reformatter import Interpolation

from curate.configs.row_errors import MediaError
from curate.tasks.video import frame_picker as picked
from curate.tasks.video.decode import decode, open_media, video_stream
from curate.tasks.video.frame_picker import Pictures, pick_frames
from curate.tasks.video.geometry import Converter, geometry
from curate.tasks.video.span import Pick, Span, SpanShape
from tests.media import BAD, DAMAGED, SOUND, draw, draw_bad, footage, write_video


def decoded(path: Path) -> tuple[list[int], list[Pictures]]:
    """pts and pictures of all frames, as displayed."""
    with open_media(str(path)) as container:
        stream = video_stream(container)
        found = list(decode(container, stream))
        look = geometry(stream, found[0])
        converter = Converter(look.square, look, Interpolation.BICUBIC)
        return [f.pts or 0 for f in found], [converter.convert(f) for f in found]


def span(path: Path, start: int, end: int, frames: int) -> Span:
    """A span of the file, in units of its time base."""
    with open_media(str(path)) as container:
        return Span(start, end, video_stream(container).time_base or Fraction(1), frames)


def picks(*wanted: Pick) -> Callable[[SpanShape], Sequence[Pick]]:
    return lambda shape: wanted


@pytest.mark.parametrize("kind", SOUND)
def test_picked_frames_are_those_of_the_whole_span(kind: str, tmp_path: Path) -> None:
    path = draw(kind, tmp_path).path
    stamps, pictures = decoded(path)
    for first, end in ((0, len(stamps)), (5, 37)):
        stop = stamps[end] if end < len(stamps) else stamps[-1] + 10**6
        shapes: list[SpanShape] = []
        numbers = [0, 3, 3, 20, end - first - 1]

        def choose(
            shape: SpanShape, shapes: list[SpanShape] = shapes, numbers: list[int] = numbers
        ) -> list[Pick]:
            shapes.append(shape)
            return [Pick(numbers), Pick([4])]

        many, one = pick_frames(str(path), span(path, stamps[first], stop, end - first), choose)
        assert np.array_equal(many, np.stack([pictures[first + n] for n in numbers]))
        assert np.array_equal(one, pictures[first + 4][None])
        (shape,) = shapes
        height, width = pictures[0].shape[:2]
        assert (shape.num_frames, shape.width, shape.height) == (end - first, width, height)
        if end == 37 and not kind.startswith("vfr"):  # media.draw shows 24 frames a second
            assert shape.fps == pytest.approx(24, rel=0.1)


@pytest.mark.parametrize(
    ("kind", "size"), [("closed", (80, 50)), ("rotated90", (50, 80)), ("anamorphic", (64, 64))]
)
def test_frames_are_scaled_to_the_size_as_displayed(
    kind: str, size: tuple[int, int], tmp_path: Path
) -> None:
    path = draw(kind, tmp_path).path
    (small,) = pick_frames(str(path), span(path, 0, 10**6, 48), picks(Pick([0, 9], size)))
    assert small.shape == (2, size[1], size[0], 3)


def test_frames_between_keyframes_that_nobody_wants_are_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = draw("closed", tmp_path).path  # a keyframe each 12 frames
    seen = []

    def counted(*args: object, **options: object) -> object:
        for frame in decode(*args, **options):  # type: ignore[arg-type]
            seen.append(frame.pts)
            yield frame

    monkeypatch.setattr(picked, "decode", counted)
    stamps, _ = decoded(path)
    pick_frames(str(path), span(path, stamps[0], 10**6, 48), picks(Pick([0, 36, 37])))
    assert seen == [stamps[0], stamps[0], stamps[36], stamps[37]]  # the first one tells the shape


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_video_gives_as_many_frames_as_wanted(kind: str, tmp_path: Path) -> None:
    path = draw_bad(kind, tmp_path)
    stamps, pictures = decoded(path)
    end = stamps[-1] + 1
    whole = span(path, stamps[0], end, len(stamps))
    (found,) = pick_frames(str(path), whole, picks(Pick([0, 1, len(stamps) - 1])))
    assert len(found) == 3
    assert np.array_equal(found[0], pictures[0])


@pytest.mark.parametrize("kind", [kind for kind in BAD if kind not in DAMAGED])
def test_what_is_no_video_is_a_media_error(kind: str, tmp_path: Path) -> None:
    with pytest.raises(MediaError):
        any_span = Span(0, 100, Fraction(1), 10)
        pick_frames(str(draw_bad(kind, tmp_path)), any_span, picks(Pick([0])))


def test_only_the_wanted_frames_are_held(tmp_path: Path) -> None:
    path = write_video(tmp_path / "long.mp4", itertools.islice(itertools.cycle(footage(12)), 120))
    stamps, _ = decoded(path)
    whole = span(path, stamps[0], stamps[-1] + 1, 120)
    (found,) = pick_frames(str(path), whole, picks(Pick([0, 60], (16, 16))))
    assert found.nbytes == 2 * 16 * 16 * 3
