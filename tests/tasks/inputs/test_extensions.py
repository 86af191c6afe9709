"""What a file is taken for by its extension."""

from __future__ import annotations

import pytest

from curate.tasks.inputs.extensions import is_image, is_media, suffix


def test_pictures_are_told_by_their_extension() -> None:
    assert is_image("/a/B.JPG") and is_image("http://h/a.png?size=1.mp4") and not is_image("/a.mp4")


@pytest.mark.parametrize("name", ["go.mod", "a.rec", "a.txt", "a", "a.mp3", "a.csv", "a.mp4.part"])
def test_other_files_are_no_media(name: str) -> None:
    assert not is_media(name)


@pytest.mark.parametrize(
    ("name", "known_by"),
    [
        ("notes.TXT", ".txt"),
        ("a.tar.7z", ".7z"),
        ("README", ""),
        ("frame.0001", ""),
        ("v1. a name with blanks", ""),
        ("a.part-of-a-name", ""),
        ("a.\udce9", ""),
        ("s3://bucket/a.json?x=.mp4", ".json"),
    ],
)
def test_a_file_is_known_by_its_suffix_when_it_has_one(name: str, known_by: str) -> None:
    assert suffix(name) == known_by
