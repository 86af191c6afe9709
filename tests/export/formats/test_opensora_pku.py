"""opensora_pku, read back as mindone's loaders do: a JSON list, in whatever encoding a host has.

The loaders are in mindone's examples/, not in its wheel, and want decord: what they do with a list
is done here, as `read_jsons` and `define_frame_index` of opensora_pku's t2v_datasets.py and
`define_frame_index` of hunyuanvideo's do it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from curate.db.selection import Selection
from curate.export.formats.opensora_pku import duration_of
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
        "duration": 0.25,
    }
    assert [len(frames_of(tmp_path / "out" / clip["path"])) for clip in found] == [6] * 6
    assert written.left["have no size, frame rate or length, which this format needs"] == 1


def frames_by_mindone(folder: Path, annotation: Path, by_duration: bool) -> dict[str, int]:
    """The clips that a loader keeps, with the number of frames that it takes them to have."""
    (line,) = [f"{folder},{annotation}".split(",")]
    kept = {}
    for entry in json.loads(Path(line[-1]).read_text(encoding="ascii")):
        path = os.path.join(line[0], entry["path"])  # noqa: PTH118  as they do
        assert Path(path).exists() and path.endswith(".mp4") and entry["cap"] is not None
        assert entry["resolution"]["height"] > 0 and entry["resolution"]["width"] > 0
        if by_duration and entry.get("duration") is None:
            continue
        frames = int(entry["fps"] * entry["duration"]) if by_duration else entry["num_frames"]
        kept[path] = frames
    return kept


@pytest.mark.parametrize("by_duration", [True, False], ids=["duration", "num_frames"])
def test_each_version_of_the_loaders_keeps_all_clips_with_all_frames(
    shelf: Shelf, tmp_path: Path, by_duration: bool
) -> None:
    shelf.export("opensora_pku", tmp_path / "out")
    kept = frames_by_mindone(tmp_path / "out", tmp_path / "out/videos.json", by_duration)
    assert list(kept.values()) == [6] * 7
    assert all(len(frames_of(Path(path))) == 6 for path in kept)


@pytest.mark.parametrize("fps", [23.976, 24000 / 1001, 25.0, 29.97, 30000 / 1001, 59.94, 14.985])
def test_a_duration_gives_just_the_frames_that_there_are(fps: float) -> None:
    assert all(int(fps * (duration_of(n, fps) or 0)) == n for n in range(1, 3000))


def test_no_clip_is_an_empty_list(shelf: Shelf, tmp_path: Path) -> None:
    shelf.job("opensora_pku", Selection(where="fps > 99")).write(str(tmp_path / "out"))
    assert json.loads((tmp_path / "out/videos.json").read_text()) == []
