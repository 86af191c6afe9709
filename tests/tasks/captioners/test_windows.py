"""Windows of a clip: which frames they hold, and that one decode gives what many would."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from curate.configs.row_errors import TooManyWindows
from curate.tasks.captioners.frames import parts_for
from curate.tasks.captioners.qwen_frames import frame_indices
from curate.tasks.captioners.windows import MOST, Window, Windows, windows_in
from curate.tasks.stage import Clip, Video
from curate.tasks.video import frame_picker
from curate.tasks.video.frame_picker import pick_frames
from curate.tasks.video.span import Pick, Span, SpanShape
from curate.tasks.video.timed_pictures import seconds_of
from tests.media import SOUND, draw
from tests.tasks.video.test_frame_picker import decoded, span


def bounds(count: int, **options: Any) -> list[tuple[int, int]]:
    """First and end of the windows of so many frames of 40 ms; none for a clip in one piece."""
    stamps = range(1000, 1000 + 40 * count, 40)
    clip = Span(1000, 1000 + 40 * count, Fraction(1, 1000), count)
    shape = SpanShape(count, 25, 64, 48, stamps)
    found = windows_in("a.mp4", clip, shape, Windows(**options))
    for window in found:
        assert window is None or window.start_pts == stamps[window.first]
        assert window is None or window.end_pts == 1000 + 40 * window.end
    return [(window.first, window.end) for window in found if window]


@pytest.mark.parametrize(
    ("count", "options", "found"),
    [
        (512, {"frames": 256}, [(0, 256), (256, 512)]),
        (640, {"frames": 256}, [(0, 256), (256, 512), (512, 640)]),  # what is left: from 128
        (639, {"frames": 256}, [(0, 256), (256, 639)]),
        (260, {"frames": 256, "min": 4}, [(0, 256), (256, 260)]),
        (260, {"frames": 256, "min": 5}, []),
        (100, {"frames": 256}, []),
        (256, {"frames": 256}, []),
        (300, {"frames": 100, "stride": 50, "min": 100},
         [(0, 100), (50, 150), (100, 200), (150, 250), (200, 300)]),
        (320, {"frames": 100, "stride": 50, "min": 100},
         [(0, 100), (50, 150), (100, 200), (150, 250), (200, 320)]),
        (250, {"seconds": 4}, [(0, 100), (100, 200), (200, 250)]),
        (249, {"seconds": 4}, [(0, 100), (100, 249)]),
        (10, {"seconds": 0.1, "min": 0}, [(0, 3), (3, 5), (5, 8), (8, 10)]),
    ],
)  # fmt: skip
def test_a_remainder_is_a_window_or_joins_the_one_before(
    count: int, options: dict[str, Any], found: list[tuple[int, int]]
) -> None:
    assert bounds(count, **options) == found


@pytest.mark.parametrize(
    "options",
    [
        {}, {"frames": 8, "seconds": 2}, {"frames": 8, "stride": 9}, {"frames": 8, "stride": 1.5},
        {"seconds": 8, "stride": 0.1}, {"seconds": 2, "min": 3}, {"frames": 1}, {"size": 4},
    ],
)  # fmt: skip
def test_what_divides_no_clip_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Windows(**options)


def test_without_time_stamps_frames_are_evenly_spread() -> None:
    clip = Span(500, 1500, Fraction(1, 1000), 10, access="decode")
    found = windows_in("a.mp4", clip, SpanShape(10, 10, 64, 48), Windows(seconds=0.5))
    assert found == [Window(0, 5, 500, 1000), Window(5, 10, 1000, 1500)]


def test_a_window_in_which_no_frame_begins_is_none() -> None:
    """A clip of slides may show one for long."""
    stamps = (0, 100, 900, 1000)
    clip = Span(0, 1100, Fraction(1, 1000), 4)
    found = windows_in("a.mp4", clip, SpanShape(4, 4, 64, 48, stamps), Windows(seconds=0.3))
    assert found == [Window(0, 2, 0, 900), Window(2, 4, 900, 1100)]


def choosing(size: tuple[int, int] | None, rate: float) -> Any:
    """A captioner as far as frames go: so many a second."""

    def choose(shape: SpanShape) -> Pick:
        indices = frame_indices(shape.num_frames, shape.fps or 1, rate)
        return Pick(indices, size, [index / (shape.fps or 1) for index in indices])

    return SimpleNamespace(choose_frames=choose)


@pytest.mark.parametrize("kind", SOUND)
def test_frames_of_each_window_are_those_of_a_decode_of_that_window_alone(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = draw(kind, tmp_path).path
    stamps, _ = decoded(path)
    whole = span(path, stamps[3], stamps[-1] + stamps[1] - stamps[0], len(stamps) - 3)
    video = Video(1, 1, str(path), path.name, {})
    values = {"num_frames": whole.frames}
    clip = Clip(1, 1, 0, video, whole.start, whole.end, whole.time_base, values, tmp_path)
    opened: list[str] = []
    open_media = frame_picker.open_media
    monkeypatch.setattr(
        frame_picker, "open_media", lambda path: opened.append(path) or open_media(path)
    )
    wanted = [
        (choosing(None, 30), Windows(frames=16, stride=12, min=1)),
        (choosing((40, 24), 9), Windows(seconds=0.5)),
        (choosing((40, 24), 4), None),
    ]
    found = parts_for(clip, wanted)
    assert len(opened) == 1
    assert [len(parts) for parts in found][::2] == [4 if len(stamps) > 43 else 3, 1]
    assert len(found[1]) >= 3
    for (captioner, _), parts in zip(wanted, found, strict=True):
        for part in parts:
            alone, window = whole, part.window
            if window:
                count = window.end - window.first
                alone = Span(window.start_pts, window.end_pts, whole.time_base, count)
            (frames,) = pick_frames(
                str(path), alone, lambda shape, by=captioner: [by.choose_frames(shape)]
            )
            np.testing.assert_array_equal(part.frames, frames)
            assert seconds_of(part.frames, 1) == seconds_of(frames, 1)
            assert seconds_of(frames, 1)[:2] != [0, 1], "not those of the window"


def test_a_part_that_is_not_needed_has_no_frames(tmp_path: Path) -> None:
    path = draw("closed", tmp_path).path
    whole = span(path, 0, 10**6, 48)
    video = Video(1, 1, str(path), path.name, {})
    clip = Clip(1, 1, 0, video, 0, 10**6, whole.time_base, {"num_frames": 48}, tmp_path)
    wanted = [(choosing(None, 30), Windows(frames=24))]
    (parts,) = parts_for(clip, wanted, lambda window: window is not None and window.first > 0)
    assert [len(part.frames) for part in parts] == [0, 24]


@pytest.mark.parametrize(("seconds", "fits"), [(1.0, True), (0.1, False)])
def test_a_clip_has_no_more_windows_than_memory_holds(seconds: float, fits: bool) -> None:
    clip = Span(0, 5120, Fraction(1, 10))  # 512 seconds
    shape = SpanShape(5120, 10, 64, 48)
    if fits:
        assert len(windows_in("a.mp4", clip, shape, Windows(seconds=seconds))) == MOST
    else:
        with pytest.raises(TooManyWindows, match=r"a\.mp4 would have 5120 windows.* 512 are"):
            windows_in("a.mp4", clip, shape, Windows(seconds=seconds))
