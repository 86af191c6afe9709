"""Sources are found by their bytes, else by their names."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from curate.configs.errors import NoSuchFile
from curate.configs.row_errors import EmptyFile
from curate.export.sources import Found, Source, find_sources, sha256_of, trouble_of
from curate.tasks.inputs.files import fingerprint_now


def source(data: bytes, relpath: str) -> Source:
    return Source(hashlib.sha256(data).hexdigest(), len(data), f"/old/{relpath}")


def find(places: list[Path | str], *sources: Source) -> list[Found | None]:
    found = find_sources({s.sha256: s for s in sources}, map(str, places), lambda *_: None)
    return [found.get(s.sha256) for s in sources]


def put(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_bytes_count_and_not_names(tmp_path: Path) -> None:
    put(tmp_path / "a.mp4", b"other")  # of the same name and size
    moved = put(tmp_path / "x/y/renamed.bin", b"bytes")
    assert find([tmp_path], source(b"bytes", "a.mp4")) == [Found(str(moved), same=True)]
    assert find([moved], source(b"bytes", "a.mp4")) == [Found(str(moved), same=True)]


def test_without_the_bytes_the_name_in_most_of_its_folders_is_told(tmp_path: Path) -> None:
    put(tmp_path / "a.mp4", b"1")
    near = put(tmp_path / "copy/pets/a.mkv", b"22")
    best = put(tmp_path / "zoo/pets/a.mp4", b"333")
    assert find([tmp_path], source(b"four", "pets/a.mp4")) == [Found(str(best), same=False)]
    best.unlink()
    assert find([tmp_path], source(b"four", "pets/a.mp4")) == [Found(str(near), same=False)]
    assert find([tmp_path], source(b"four", "pets/b.mp4")) == [None]


def test_several_places_urls_among_them_are_searched(tmp_path: Path) -> None:
    import fsspec

    fsspec.filesystem("memory").pipe("/sources/deep/a.mp4", b"bytes")
    here = put(tmp_path / "b.mp4", b"here")
    found = find(
        ["memory://sources", tmp_path], source(b"bytes", "x.mp4"), source(b"here", "y.mp4")
    )
    assert found == [Found("memory:///sources/deep/a.mp4", same=True), Found(str(here), same=True)]


def test_links_to_nothing_and_hidden_folders_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").symlink_to(tmp_path / "nothing")
    put(tmp_path / ".trash/a.mp4", b"bytes")
    assert find([tmp_path], source(b"bytes", "a.mp4")) == [None]
    with pytest.raises(NoSuchFile, match="nowhere"):
        find([tmp_path / "nowhere"], source(b"bytes", "a.mp4"))


def test_a_hash_is_that_of_the_whole_file(tmp_path: Path) -> None:
    data = bytes(range(256)) * 9000
    path = put(tmp_path / "a.mp4", data)
    assert sha256_of(str(path)) == hashlib.sha256(data).hexdigest()
    with pytest.raises(EmptyFile):
        sha256_of(str(put(tmp_path / "empty.mp4", b"")))


def test_a_source_is_in_trouble_when_it_is_gone_or_replaced(tmp_path: Path) -> None:
    path = put(tmp_path / "a.mp4", b"12345")
    before = fingerprint_now(str(path))
    assert trouble_of(str(path), before) == ""
    path.write_bytes(b"123")
    assert "another file" in trouble_of(str(path), before)
    path.unlink()
    assert "gone" in trouble_of(str(path), before)
