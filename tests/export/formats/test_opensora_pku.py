"""opensora_pku, read back as mindone's loaders do: a JSON list, in whatever encoding a host has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from curate.db.selection import Selection
from tests.export.shelf import Shelf, frames_of


@pytest.mark.parametrize("format", ["opensora_pku", "hunyuanvideo"])
def test_the_list_has_what_its_reader_asserts(shelf: Shelf, tmp_path: Path, format: str) -> None:
    shelf.change("width = NULL", 1)
    written = shelf.job(format, Selection(columns=("clip_id",))).write(str(tmp_path / "out"))
    with (tmp_path / "out/videos.json").open(encoding="ascii") as stream:
        found = json.load(stream)
    assert found[1] == {
        "clip_id": 3,
        "path": "videos/00000/000000003.mp4",
        "cap": 'said "hi",\nthen left',
        "resolution": {"height": 48, "width": 64},
        "fps": 24.0,
        "num_frames": 6,
    }
    assert [len(frames_of(tmp_path / "out" / clip["path"])) for clip in found] == [6] * 6
    assert written.left["have no size, frame rate or length, which this format needs"] == 1


def test_no_clip_is_an_empty_list(shelf: Shelf, tmp_path: Path) -> None:
    shelf.job("opensora_pku", Selection(where="fps > 99")).write(str(tmp_path / "out"))
    assert json.loads((tmp_path / "out/videos.json").read_text()) == []
