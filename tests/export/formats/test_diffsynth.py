"""diffsynth, read back as DiffSynth-Studio does: by pandas."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from curate.db.selection import Selection
from tests.export.shelf import Shelf, frames_of


def test_pandas_reads_captions_with_line_breaks(shelf: Shelf, tmp_path: Path) -> None:
    shelf.job("diffsynth", Selection(columns=("fps",))).write(str(tmp_path / "out"))
    found = pd.read_csv(tmp_path / "out/metadata.csv")
    assert list(found.columns) == ["video", "prompt", "fps"] and len(found) == 7
    assert found["prompt"][2] == 'said "hi",\nthen left' and set(found["fps"]) == {24.0}
    assert all(len(frames_of(tmp_path / "out" / clip)) == 6 for clip in found["video"])
    fields = (tmp_path / "out/metadata.csv").read_text().split("\n")[0]
    assert fields == '"video","prompt","fps"'
