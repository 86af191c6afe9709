"""What a file is taken for by its extension."""

from __future__ import annotations

from curate.tasks.inputs.extensions import is_image


def test_pictures_are_told_by_their_extension() -> None:
    assert is_image("/a/B.JPG") and is_image("http://h/a.png?size=1.mp4") and not is_image("/a.mp4")
