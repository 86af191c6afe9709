"""Packets that show no picture of their own: hidden pictures and second fields."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from curate.tasks.video.decode import decode, open_media, video_stream
from curate.tasks.video.one_pass import SplitPlan, split_video
from curate.tasks.video.pieces import Lengths
from curate.tasks.video.probing import probe_video
from curate.tasks.video.samples import writing_samples
from curate.tasks.video.shown import FieldPairs
from tests.field_pairs import parameters, pictures, write_pairs
from tests.media import Encoding, footage, write_video

PAIRS = [True] * 20
MIXED = [False] * 5 + [True] * 10 + [False] * 5


def decoded(path: Path) -> int:
    with open_media(str(path)) as container:
        return sum(1 for _ in decode(container, video_stream(container)))


def stored(path: Path) -> list[int]:
    """The sizes of all packets."""
    with av.open(str(path)) as container:
        return [packet.size for packet in container.demux(video=0) if packet.size]


@pytest.mark.parametrize("together", [False, True], ids=["apart", "together"])
@pytest.mark.parametrize("suffix", [".ts", ".mkv", ".mp4", ".avi", ".h264"])
def test_the_last_frame_lasts_as_long_as_both_its_fields(
    tmp_path: Path, suffix: str, together: bool
) -> None:
    path = write_pairs(tmp_path / f"a{suffix}", pictures(PAIRS), together)
    with writing_samples(tmp_path, 1) as writer:
        clips, _ = split_video(str(path), SplitPlan(lengths=Lengths(0)), writer)
    assert clips[-1].scores["end_seconds"] == pytest.approx(0.8, abs=0.002)


@pytest.mark.parametrize("together", [False, True], ids=["apart", "together"])
@pytest.mark.parametrize("suffix", [".ts", ".mkv", ".mp4", ".avi", ".h264"])
def test_two_fields_are_one_frame(tmp_path: Path, suffix: str, together: bool) -> None:
    path = write_pairs(tmp_path / f"a{suffix}", pictures(PAIRS), together)
    found = probe_video(str(path))
    assert (found["num_frames"], found["interlaced_flag"]) == (20, 1)
    assert found["num_frames"] == decoded(path)
    assert found["fps"] == pytest.approx(25, rel=0.001)
    assert found["duration"] == pytest.approx(0.8, abs=0.002)


def test_the_second_field_is_no_keyframe_of_its_own(tmp_path: Path) -> None:
    path = write_pairs(tmp_path / "a.mkv", pictures(PAIRS))
    assert probe_video(str(path))["keyframes"] == str([40 * i for i in range(20)])


@pytest.mark.parametrize("scaling_lists", [False, True])
def test_frames_and_pairs_of_fields_may_alternate(tmp_path: Path, scaling_lists: bool) -> None:
    units = pictures(MIXED, scaling_lists=scaling_lists)
    path = write_pairs(tmp_path / "a.h264", units)
    assert len(units) == len(stored(path)) == 30
    assert probe_video(str(path))["num_frames"] == decoded(path) == 20
    assert probe_video(str(path))["duration"] == pytest.approx(0.8)


def test_a_field_without_its_second_is_a_frame() -> None:
    units = pictures([True] * 4)
    del units[3]
    pairs = FieldPairs(None)
    assert [pairs.completes(unit, True) for unit in units] == [
        False, True, False, False, True, False, True,
    ]  # fmt: skip


def test_damaged_headers_count_as_pictures() -> None:
    pairs = FieldPairs(parameters())
    assert not pairs.completes(b"\0\0\1\x61", False)
    assert not pairs.completes(b"\0\0\1\x67\x64", True)
    assert not FieldPairs(b"\1" * 12).completes(b"\0\0\0\4\x61\0\0\0", True)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".ivf"])
def test_hidden_pictures_of_av1_are_stored_with_a_shown_one(tmp_path: Path, suffix: str) -> None:
    encoding = Encoding("libsvtav1", {"preset": "12"})
    path = write_video(tmp_path / f"a{suffix}", footage(40), encoding)
    assert min(stored(path)) < 10  # shows a picture that was stored, hidden, with another one
    found = probe_video(str(path))
    assert found["num_frames"] == decoded(path) == 40
    assert found["fps"] == pytest.approx(24, rel=0.001)
