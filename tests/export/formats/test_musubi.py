"""musubi, read back as musubi-tuner does: its TOML names a JSON Lines file of clips."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from tests.export.shelf import Shelf, frames_of


def test_the_toml_leads_to_every_clip(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.change("width = 100, height = 90, num_frames = 50", 1)
    folder = tmp_path / 'a "b"' / "out"
    shelf.export("musubi", folder)
    monkeypatch.chdir("/")  # wherever it is started
    config = tomllib.loads((folder / "dataset.toml").read_text())
    (dataset,) = config["datasets"]
    assert config["general"]["resolution"] == [64, 48]
    assert dataset["target_frames"] == [1, 25, 45]
    with Path(dataset["video_jsonl_file"]).open() as stream:
        found = [json.loads(line) for line in stream]
    assert [clip["caption"] for clip in found][:3] == [
        "a cat", "ein Hund, der bellt", 'said "hi",\nthen left',
    ]  # fmt: skip
    assert all(len(frames_of(Path(clip["video_path"]))) == 6 for clip in found)
    assert not Path(dataset["cache_directory"]).is_relative_to(folder / "videos")


def test_clips_that_stay_where_they_are_are_named_there(shelf: Shelf, tmp_path: Path) -> None:
    shelf.export("musubi", tmp_path / "out", files="none")
    last = (tmp_path / "out/metadata.jsonl").read_text().splitlines()[-1]
    assert json.loads(last)["video_path"] == str(shelf.file(9))
