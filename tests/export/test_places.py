"""Small texts and trees, on disk and in a store."""

from __future__ import annotations

from pathlib import Path

import pytest

from curate.configs.errors import UsageError
from curate.export.places import alone, read_text, remove, there, write_text
from curate.tasks.storage.locations import Location, below


@pytest.mark.parametrize("kind", ["disk", "store"])
def test_a_text_comes_back_and_goes_with_its_folder(tmp_path: Path, kind: str) -> None:
    root: Location = tmp_path / "x" if kind == "disk" else f"memory://{tmp_path.name}"
    text = below(root, "deep", "a.txt")
    assert not there(text)
    write_text(text, "猫\r\n")
    assert there(text) and read_text(text) == "猫\r\n"
    remove(text)
    assert not there(text)
    write_text(text, "again")
    remove(root)
    assert not there(text) and not there(root)
    remove(root)  # nothing is there


@pytest.mark.parametrize("name", ["poetry", ".poetry.partial"])
def test_a_lock_touches_no_file_of_the_user(tmp_path: Path, name: str) -> None:
    mine = [tmp_path / f"{name}.lock", tmp_path / "poetry.lock"]
    for path in mine:
        path.write_text("mine")
    refused = pytest.raises(UsageError, match="another command")
    with alone(tmp_path / name), refused, alone(tmp_path / name):
        raise AssertionError
    assert [path.read_text() for path in mine] == ["mine", "mine"]
    assert set(tmp_path.iterdir()) == set(mine)
