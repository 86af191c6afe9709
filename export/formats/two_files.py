"""`two-files`: captions in prompt.txt, and the clips' paths, line by line, in videos.txt."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from curate.export.format import LINE_BREAK, FolderFormat, Item, Laid, Way, has_line_break


class TwoFiles(FolderFormat):
    """Paths are relative to the folder. A line cannot hold a caption with line breaks."""

    name = "two-files"
    reader = "mindone's wan2_2, finetrainers, CogVideoX"
    columns = "none"

    def refuses(self, item: Item, way: Way) -> str:
        """Line breaks, and captions that are nothing but space, which readers skip."""
        if has_line_break(item.text or ""):
            return LINE_BREAK
        if not (item.text or "").strip():
            return "have no caption"
        if way.files == "none" and has_line_break(item.file):
            return "have a path with line breaks, which this format cannot hold"
        return ""

    def write(self, laid: Iterable[Laid], folder: Path, way: Way) -> None:
        """Both files, of the same lines."""
        with (
            (folder / "prompt.txt").open("w", encoding="utf-8", newline="") as prompts,
            (folder / "videos.txt").open("w", encoding="utf-8", newline="") as videos,
        ):
            for clip in laid:
                prompts.write(clip.text + "\n")
                videos.write(clip.video + "\n")
