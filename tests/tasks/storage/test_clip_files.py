"""Which files are there, and of the size they should have."""

from __future__ import annotations

import os
from pathlib import Path

import fsspec
import pytest

from curate.configs.errors import ServiceError
from curate.tasks.storage.clip_files import file_states, sizes_below


def test_files_in_folders(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"a\xff.mp4")
    path.write_bytes(b"12345")
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "link.mp4").symlink_to("nowhere")
    expected = {
        (str(path), 5): "there",
        (str(path), 4): "resized",
        (str(tmp_path / "gone.mp4"), 5): "missing",
        (str(path / "below.mp4"), 5): "missing",
        (str(tmp_path / "folder.mp4"), 5): "missing",
        (str(tmp_path / "link.mp4"), 5): "missing",
        (str(tmp_path / "gone.mp4"), None): "there",  # nobody knows what it should be
    }
    assert file_states(expected, ask_stores=False) == expected


def test_files_at_urls_are_looked_at_on_request(s3_url: str) -> None:
    with fsspec.open(f"{s3_url}/a.mp4", "wb") as file:
        file.write(b"12345")
    expected = {
        (f"{s3_url}/a.mp4", 5): "there",
        (f"{s3_url}/a.mp4", 4): "resized",
        (f"{s3_url}/gone.mp4", 5): "missing",
    }
    assert file_states(expected, ask_stores=True) == expected
    assert set(file_states(expected, ask_stores=False).values()) == {"unasked"}


def test_a_store_that_refuses_is_no_missing_file(
    s3_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.conftest import forget_s3

    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    forget_s3()
    with pytest.raises(ServiceError):
        file_states([(f"{s3_url}/a.mp4", 5)], ask_stores=True)


def test_sizes_are_those_of_all_files_below(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "one.mp4").write_bytes(b"123")
    (tmp_path / "a" / "two.mp4").write_bytes(b"12")
    (tmp_path / "a" / "around").symlink_to(tmp_path)  # not followed
    link = (tmp_path / "a" / "around").lstat().st_size
    assert sorted(sizes_below(tmp_path)) == sorted([3, 2, link])
    assert list(sizes_below(tmp_path / "gone")) == []


def test_a_file_that_goes_while_sizes_are_read_hides_no_other(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        (tmp_path / name).write_bytes(b"123")
    sizes = sizes_below(tmp_path)
    next(sizes)
    list(tmp_path.iterdir())[1].unlink()  # in the order in which it was listed
    assert list(sizes) == [3]
