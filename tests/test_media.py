"""The drawn videos are what they say; every other test about media rests on this one."""

from __future__ import annotations

import os
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import media


def decoded(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(container.streams.video[0]))


def at(shown: av.VideoFrame | av.Packet[Any]) -> Fraction:
    assert shown.pts is not None and shown.time_base is not None
    return shown.pts * shown.time_base


def upright(frame: av.VideoFrame) -> media.Image:
    image = frame.to_ndarray(format="rgb24")
    return np.rot90(image, round(frame.rotation / 90))


@given(number=st.integers(0, 2047), width=st.integers(112, 400), height=st.integers(48, 300))
@settings(max_examples=30, deadline=None)
def test_the_number_drawn_is_the_number_read(number: int, width: int, height: int) -> None:
    assert media.frame_number(media.picture(number, size=(width, height))) == number


def test_a_picture_without_a_code_is_refused() -> None:
    with pytest.raises(media.NoNumberError):
        media.frame_number(media.picture(3, style="black"))


@pytest.mark.parametrize("kind", media.SOUND)
def test_a_sound_file_shows_exactly_the_frames_it_claims(kind: str, tmp_path: Path) -> None:
    drawn = media.draw(kind, tmp_path)
    frames = decoded(drawn.path)
    assert [media.frame_number(upright(f)) for f in frames] == drawn.numbers


@pytest.mark.parametrize("kind", media.SOUND)
def test_the_presentation_times_are_the_drawn_ones(kind: str, tmp_path: Path) -> None:
    drawn = media.draw(kind, tmp_path)
    frames = decoded(drawn.path)
    times = [float(at(f) - at(frames[0])) for f in frames]
    assert times == pytest.approx(drawn.seconds, abs=0.0011)  # Matroska keeps milliseconds


@pytest.mark.parametrize(
    ("kind", "first"),
    [
        ("avi", 1 / 24),
        ("offset_mkv", 39.0),
        ("offset_ts", 39.0),
        ("late_video", 29 / 24),
        ("b_frames", 0),
    ],
)
def test_files_start_when_they_should(kind: str, first: float, tmp_path: Path) -> None:
    frame = decoded(media.draw(kind, tmp_path).path)[0]
    assert float(at(frame)) == pytest.approx(first, abs=0.001)


def packets(path: Path) -> list[av.Packet[Any]]:
    with av.open(str(path)) as container:
        return [p for p in container.demux(video=0) if p.size]


def test_an_open_gop_has_frames_that_come_after_a_keyframe_but_are_shown_before_it(
    tmp_path: Path,
) -> None:
    found = packets(media.draw("open_gop", tmp_path).path)
    keys = [i for i, p in enumerate(found) if p.is_keyframe]
    leading = [sum(at(p) < at(found[k]) for p in found[k:]) for k in keys[1:]]
    assert len(keys) >= 3 and all(leading)


def test_a_closed_gop_has_none(tmp_path: Path) -> None:
    found = packets(media.draw("closed", tmp_path).path)
    assert all(at(a) < at(b) for a, b in pairwise(found))


def test_b_frames_are_stored_out_of_order_and_the_long_gop_has_one_keyframe(tmp_path: Path) -> None:
    found = packets(media.draw("long_gop", tmp_path).path)
    assert [at(p) for p in found] != sorted(at(p) for p in found)
    assert sum(p.is_keyframe for p in found) == 1


def test_the_edit_list_hides_frames_that_are_in_the_file(tmp_path: Path) -> None:
    drawn = media.draw("trimmed", tmp_path)
    with av.open(str(drawn.path)) as container:
        assert container.streams.video[0].frames == media.COUNT
    assert len(drawn.numbers) == media.COUNT - 7


@pytest.mark.parametrize(
    ("kind", "clockwise"), [("rotated90", 90), ("rotated180", 180), ("rotated270", 270)]
)
def test_opencv_turns_a_rotated_file_upright(kind: str, clockwise: int, tmp_path: Path) -> None:
    import cv2

    capture = media.opencv_reader(media.draw(kind, tmp_path).path)
    _, image = capture.read()
    assert capture.get(cv2.CAP_PROP_ORIENTATION_META) == clockwise
    assert image.shape[:2] == (96, 160) and media.frame_number(image) == 0


def test_pixel_aspect_pixel_format_and_audio_are_in_the_files(tmp_path: Path) -> None:
    with av.open(str(media.draw("anamorphic", tmp_path).path)) as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(16, 11)
    with av.open(str(media.draw("ten_bit", tmp_path).path)) as container:
        assert container.streams.video[0].format.name == "yuv420p10le"
    with av.open(str(media.draw("audio", tmp_path).path)) as container:
        assert (
            len(container.streams.audio) == 1
            and container.streams.video[0].codec_context.colorspace == 1
        )


@pytest.mark.parametrize("kind", [k for k in media.BAD if k not in ("audio_only", "no_size")])
def test_bad_files_cannot_be_opened(kind: str, tmp_path: Path) -> None:
    with pytest.raises((av.FFmpegError, OSError)):
        decoded(media.draw_bad(kind, tmp_path))


def test_a_file_with_only_sound_and_one_without_a_size(tmp_path: Path) -> None:
    with av.open(str(media.draw_bad("audio_only", tmp_path))) as container:
        assert [s.type for s in container.streams] == ["audio"]
    with av.open(str(media.draw_bad("no_size", tmp_path))) as container:
        assert container.streams.video[0].codec_context.width == 0


def frames_despite_errors(path: Path) -> int:
    count = 0
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        source = container.demux(stream)
        for _ in range(1000):
            try:
                count += len(next(source).decode())
            except StopIteration:
                break
            except av.FFmpegError:
                continue
    return count


@pytest.mark.parametrize("kind", media.DAMAGED)
def test_a_part_of_a_damaged_file_decodes(kind: str, tmp_path: Path) -> None:
    assert 20 < frames_despite_errors(media.draw_bad(kind, tmp_path)) < 2 * media.COUNT


@pytest.mark.parametrize("kind", ["closed", "avi_h264"])
def test_a_hard_cut_stands_out_from_the_motion(kind: str, tmp_path: Path) -> None:
    images = [
        f.to_ndarray(format="rgb24").astype(int) for f in decoded(media.draw(kind, tmp_path).path)
    ]
    change = [float(abs(b - a).mean()) for a, b in pairwise(images)]
    assert change.index(max(change)) + 1 == media.CUT
    assert max(change) > 3 * sorted(change)[-2]


@pytest.mark.parametrize("name", media.ODD_NAMES)
def test_odd_names_can_be_made_here(name: bytes, tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(name)).write_bytes(b"x")
    assert [os.fsencode(p.name) for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("extension", [".jpg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".webp"])
def test_still_pictures_are_written(extension: str, tmp_path: Path) -> None:
    image = media.picture(7)
    path = media.write_image(
        tmp_path / f"i{extension}", image[..., 0] if extension == ".pgm" else image
    )
    from PIL import Image

    with Image.open(path) as opened:
        assert media.frame_number(np.asarray(opened)) == 7


def test_drawing_leaves_the_priority_of_the_process(tmp_path: Path) -> None:
    before = os.sched_getscheduler(0)
    media.write_video(
        tmp_path / "a.mkv", media.footage(4), media.Encoding("libsvtav1", {"preset": "12"})
    )
    assert os.sched_getscheduler(0) == before
