"""sidecar, read back as musubi-tuner and kohya's scripts do: each clip's caption is in STEM.txt."""

from __future__ import annotations

from pathlib import Path

from tests.export.shelf import Shelf, frames_of


def test_each_clip_lies_beside_its_caption(shelf: Shelf, tmp_path: Path) -> None:
    written = shelf.export("sidecar", tmp_path / "out")
    found = {p.stem: p.with_suffix(".txt").read_text() for p in (tmp_path / "out").glob("*.mp4")}
    captions = {1: "a cat", 2: "ein Hund, der bellt", 3: 'said "hi",\nthen left', 5: "猫 🐈"}
    captions |= {6: "=1+1", 8: "two cats", 9: "three cats"}
    assert found == {f"{clip:09d}": caption for clip, caption in captions.items()}
    assert (written.clips, dict(written.left)) == ({"": 7}, {"have no caption": 2})
    clip = tmp_path / "out" / "000000008.mp4"
    assert clip.samefile(shelf.file(8)) and len(frames_of(clip)) == 6
