"""Damaged files of clips are told from whole ones by decoding them."""

from __future__ import annotations

from pathlib import Path

import pytest

from curate.tasks.video.damage import damage_of
from tests.drawing import picture
from tests.media import write_video


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("damage") / "clip.mp4"
    write_video(path, [picture(i) for i in range(48)])
    return path


def test_a_whole_file_is_fine(video: Path) -> None:
    assert damage_of(str(video), 48) == ""
    assert damage_of(str(video), None) == ""


@pytest.mark.parametrize("at", [0.1, 0.5, 0.9])
def test_zeros_in_the_middle_are_seen(video: Path, tmp_path: Path, at: float) -> None:
    data = bytearray(video.read_bytes())
    begin = int(at * len(data))
    data[begin : begin + 2000] = bytes(len(data[begin : begin + 2000]))
    (tmp_path / "a.mp4").write_bytes(data)
    assert damage_of(str(tmp_path / "a.mp4"), 48)


def test_too_few_frames_and_no_video_are_told(video: Path, tmp_path: Path) -> None:
    assert damage_of(str(video), 50) == "48 frames instead of 50"
    (tmp_path / "a.mp4").write_bytes(b"x" * 100)
    assert damage_of(str(tmp_path / "a.mp4"), 48)


def test_still_images_are_passed_over(tmp_path: Path) -> None:
    assert damage_of(str(tmp_path / "not-there.png"), 1) == ""
