"""Files of clips are linked where that is possible, else copied; they appear whole."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from curate.configs.errors import ServiceError
from curate.configs.row_errors import Unreadable
from curate.export.files import changed, length, place


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"12345")
    return path


def test_a_link_is_the_same_file_and_a_copy_another(clip: Path, tmp_path: Path) -> None:
    for placing in ("link", "copy"):
        for _ in range(2):  # a second time replaces it
            place(str(clip), 5, tmp_path / "out" / placing, placing)  # type: ignore[arg-type]
    assert clip.samefile(tmp_path / "out/link") and not clip.samefile(tmp_path / "out/copy")
    assert (tmp_path / "out/copy").read_bytes() == b"12345"
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["copy", "link"]


def test_what_a_symbolic_link_names_is_linked(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "name.mp4").symlink_to("clip.mp4")
    place(str(tmp_path / "name.mp4"), 5, tmp_path / "out/x.mp4", "link")
    assert not (tmp_path / "out/x.mp4").is_symlink() and clip.samefile(tmp_path / "out/x.mp4")


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EMLINK, errno.EPERM])
def test_where_there_can_be_no_link_there_is_a_copy(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    place(str(clip), 5, tmp_path / "out.mp4", "link")
    assert (tmp_path / "out.mp4").read_bytes() == b"12345"


def test_a_file_of_another_size_is_not_placed(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="size changed"):
        place(str(clip), 6, tmp_path / "out" / "x.mp4", "copy")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_full_disk_is_a_service_that_is_missing(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", fill)
    with pytest.raises(ServiceError, match="No space left"):
        place(str(clip), 5, tmp_path / "x.mp4", "copy")


def test_a_clip_in_a_store_is_copied(tmp_path: Path) -> None:
    import fsspec

    fsspec.filesystem("memory").pipe_file("/clips/a.mp4", b"abc")
    place("memory://clips/a.mp4", 3, tmp_path / "a.mp4", "link")
    assert (tmp_path / "a.mp4").read_bytes() == b"abc" and length("memory://clips/a.mp4") == 3


def test_the_length_of_what_is_not_there_is_no_trouble_of_the_store(tmp_path: Path) -> None:
    with pytest.raises(Unreadable):
        length("memory://clips/gone.mp4")
    with pytest.raises(FileNotFoundError):
        length(str(tmp_path / "gone.mp4"))


def test_the_time_of_change_is_that_of_the_file_and_none_where_nobody_knows(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    assert changed(str(tmp_path / "a")) == (tmp_path / "a").stat().st_mtime_ns
    assert changed(str(tmp_path / "gone")) == changed("s3://bucket/a") == 0
