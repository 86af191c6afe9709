"""Files appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from curate.tasks.storage.locations import replacing


def test_a_file_appears_under_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new/clip.mp4"
    with replacing(path) as temporary:
        temporary.write_bytes(b"whole")
        assert not path.exists()
    assert path.read_bytes() == b"whole"
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_bytes(b"half")
        raise ZeroDivisionError
    assert [p.name for p in path.parent.iterdir()] == ["clip.mp4"] and path.read_bytes() == b"whole"
