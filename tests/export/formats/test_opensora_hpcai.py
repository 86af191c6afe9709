"""opensora_hpcai, read back as mindone's TextVideoDataset does: csv.DictReader over open(path)."""

from __future__ import annotations

import csv
from pathlib import Path

from tests.export.shelf import Shelf, frames_of


def test_what_mindone_reads_is_what_was_there(shelf: Shelf, tmp_path: Path) -> None:
    shelf.change("text = 'one' || char(13) || 'two'", 1)
    shelf.put("c.mp4", ["a film"], ending=".mkv")
    written = shelf.export("opensora_hpcai", tmp_path / "out")
    with (tmp_path / "out/videos.csv").open(encoding="utf-8") as stream:
        found = list(csv.DictReader(stream))
    assert [row["caption"] for row in found] == [
        "ein Hund, der bellt", 'said "hi",\nthen left', "猫 🐈", "=1+1", "two cats", "three cats",
    ]  # fmt: skip
    for row in found:
        clip = tmp_path / "out" / row["video"]
        assert clip.suffix == ".mp4" and len(frames_of(clip)) == 6 and float(row["fps"]) == 24
    assert written.left == {
        "have no caption": 2,
        "have a caption with carriage returns, which this format cannot hold": 1,
        "have files that its reader does not open: it takes .mp4": 1,
    }
