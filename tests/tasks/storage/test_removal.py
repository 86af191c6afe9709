"""Files are listed and removed, in folders and in stores."""

from __future__ import annotations

import os
from pathlib import Path

import fsspec
import pytest

from curate.configs.errors import ServiceError
from curate.tasks.inputs.paths import to_text
from curate.tasks.storage.removal import (
    Removed,
    files_below,
    remove_empty_folders,
    remove_files,
    sizes_of,
)


@pytest.fixture
def store(request: pytest.FixtureRequest) -> str:
    """A URL with two files below it, of 3 and 5 bytes."""
    url = f"memory://bucket/{request.node.name}"
    for name, size in (("a.mp4", 3), ("b/c.mp4", 5)):
        fsspec.filesystem("memory").pipe_file(f"{url}/{name}", bytes(size))
    return url


def test_files_of_a_folder_have_the_paths_of_the_database(tmp_path: Path) -> None:
    odd = os.fsdecode(b"odd-\xff.mp4")
    for name, size in (("a.mp4", 3), (f"b/{odd}", 5)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(bytes(size))
    found = dict(files_below(tmp_path))
    assert found == {f"{tmp_path}/a.mp4": 3, to_text(f"{tmp_path}/b/{odd}"): 5}
    assert sizes_of(found) == Removed(2, 8)
    assert remove_files([*found, f"{tmp_path}/a.mp4/x", "/no/such"]) == Removed(2, 8)
    assert dict(files_below(tmp_path)) == {}
    assert list(files_below(tmp_path / "none")) == []


def test_files_of_a_store(store: str) -> None:
    found = dict(files_below(store))
    assert found == {f"{store}/a.mp4": 3, f"{store}/b/c.mp4": 5}
    assert sizes_of([*found, f"{store}/none"]) == Removed(2, 8)
    assert remove_files([*found, f"{store}/none"]) == Removed(2, 8)
    assert dict(files_below(store)) == {}


def test_a_folder_in_the_place_of_a_file_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match=str(tmp_path)):
        remove_files([str(tmp_path)])


def test_folders_go_as_far_as_they_are_empty(tmp_path: Path) -> None:
    (tmp_path / "x/a/b").mkdir(parents=True)
    (tmp_path / "x/c").mkdir()
    (tmp_path / "x/c/file").touch()
    remove_empty_folders(tmp_path / "x")
    assert [p.name for p in (tmp_path / "x").iterdir()] == ["c"]
    remove_empty_folders("memory://nothing")
