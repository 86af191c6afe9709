"""two-files, read back as finetrainers and mindone's wan2_2 do: line by line.

`lines` does what `_load_dataset_from_local_path` of examples/wan2_2/wan/trainer/dataset.py does;
the class itself is in no wheel and wants decord.
"""

from __future__ import annotations

from pathlib import Path

from curate.export.format import LINE_BREAK
from tests.export.shelf import Shelf, frames_of


def lines(path: Path) -> list[str]:
    with path.open(encoding="utf-8") as stream:
        return [line.strip() for line in stream if line.strip()]


def test_captions_and_clips_have_the_same_lines(shelf: Shelf, tmp_path: Path) -> None:
    written = shelf.export("two-files", tmp_path / "out")
    prompts, clips = lines(tmp_path / "out/prompt.txt"), lines(tmp_path / "out/videos.txt")
    captions = ["a cat", "ein Hund, der bellt", "猫 🐈", "=1+1", "two cats", "three cats"]
    assert prompts == captions and len(clips) == 6
    assert all(len(frames_of(tmp_path / "out" / clip)) == 6 for clip in clips)
    assert dict(written.left) == {"have no caption": 2, LINE_BREAK: 1}


def test_no_line_break_of_any_reader_goes_through(shelf: Shelf, tmp_path: Path) -> None:
    for clip, breaks in enumerate("\n\r\x0b\x0c\x1c\x85\u2028\u2029", 1):
        shelf.change(f"text = 'one{breaks}two'", clip)
    written = shelf.export("two-files", tmp_path / "out")
    assert written.left[LINE_BREAK] == 8 and lines(tmp_path / "out/prompt.txt") == ["three cats"]


def test_without_files_the_clips_stay_where_they_are(shelf: Shelf, tmp_path: Path) -> None:
    shelf.export("two-files", tmp_path / "out", files="none")
    assert lines(tmp_path / "out/videos.txt")[-1] == str(shelf.file(9))
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        ".curate.json", "prompt.txt", "videos.txt",
    ]  # fmt: skip
