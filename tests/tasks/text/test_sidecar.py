"""Captions that lie beside a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from curate.configs.row_errors import BadSidecar, NotAFile
from curate.tasks.text.sidecar import read_sidecar, sidecar_path


@pytest.mark.parametrize(
    ("path", "beside"),
    [
        ("/v/a.mp4", "/v/a.json"),
        ("/v.1/part.2/a.b.mp4", "/v.1/part.2/a.b.json"),
        ("/v.1/a", "/v.1/a.json"),
        ("/v/.hidden", "/v/.hidden.json"),
        ("http://h.x/v/a.mp4?key=1.2", "http://h.x/v/a.json?key=1.2"),
    ],
)
def test_the_name_beside_a_file_has_another_ending(path: str, beside: str) -> None:
    assert sidecar_path(path, ".json") == beside


def test_captions_are_read_from_beside(tmp_path: Path) -> None:
    folder = tmp_path / "v.1"
    folder.mkdir()
    media = str(folder / "a.b.mp4")
    assert read_sidecar(media, ".json", "caption") is None
    (folder / "a.b.json").write_text(json.dumps({"caption": " Ein Hund läuft. "}), encoding="utf-8")
    (folder / "a.b.txt").write_text("\ufeffA dog\n", encoding="utf-8")
    assert read_sidecar(media, ".json", "caption") == "Ein Hund läuft."
    assert read_sidecar(media, ".txt", "caption") == "A dog"
    (folder / "a.b.json").write_text(json.dumps({"caption": ["one", "two"]}))
    assert read_sidecar(media, ".json", "caption") == "one"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b'{"text": "a"}', "no text under 'caption'"),
        (b'{"caption": 5}', "no text under"),
        (b'["a"]', "no text under"),
        (b"{", "no json"),
        (b'{"caption": "\xff"}', "no json"),
        (b'{"caption": " "}', "is empty"),
        (b"[" * 100_000, "no json"),
    ],
)
def test_a_file_without_a_caption_is_told(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(BadSidecar, match=why):
        read_sidecar(str(tmp_path / "a.mp4"), ".json", "caption")


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "a.json").mkdir()
    with pytest.raises(NotAFile):
        read_sidecar(str(tmp_path / "a.mp4"), ".json", "caption")
