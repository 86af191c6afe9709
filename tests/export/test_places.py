"""Small texts and trees, on disk and in a store."""

from __future__ import annotations

from pathlib import Path

import pytest

from curate.export.places import read_text, remove, there, write_text
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
