"""opensora_hpcai, read back as mindone's VideoDatasetRefactored does: csv.DictReader, VideoReader.

The dataset class is in mindone's examples/, which no wheel holds. The reader that it decodes by is
in the wheel, as a file of its own: loaded so, it needs no MindSpore.
"""

from __future__ import annotations

import csv
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.export.shelf import Shelf, frames_of


def video_reader() -> Any:
    """mindone's VideoReader, without the rest of mindone, which loads MindSpore."""
    package = importlib.util.find_spec("mindone")
    if package is None or not package.origin:
        pytest.skip("no mindone")
    path = Path(package.origin).parent / "data/video_reader.py"
    spec = importlib.util.spec_from_file_location("video_reader", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.VideoReader


def test_mindone_decodes_every_clip(shelf: Shelf, tmp_path: Path) -> None:
    """As its dataset does: folder and name joined, so many frames from a place with a stride."""
    shelf.export("opensora_hpcai", tmp_path / "out")
    reader = video_reader()
    with (tmp_path / "out/videos.csv").open() as stream:
        samples = list(csv.DictReader(stream))
    assert len(samples) == 7
    for sample in samples:
        path = tmp_path / "out" / sample["video"]
        with reader(str(path)) as clip:
            assert (len(clip), clip.shape, clip.fps) == (6, (64, 48), float(sample["fps"]))
            found = clip.fetch_frames(num=3, start_pos=1, step=2)
        whole = np.frombuffer(b"".join(frames_of(path)), np.uint8).reshape(6, 48, 64, 3)
        assert np.abs(found.astype(int) - whole[1::2].astype(int)).mean() < 3


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
