"""`opensora_hpcai`: a CSV with the columns video and caption."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from curate.export.format import MP4, FolderFormat, Item, Laid, Way
from curate.export.formats.csv import write_csv


class OpenSoraHpcai(FolderFormat):
    """Its reader opens no file but .mp4, and puts the last good clip in the place of one that it
    cannot load.
    """

    name = "opensora_hpcai"
    reader = "mindone's opensora_hpcai (--csv_path, --video_folder)"
    endings = MP4

    def refuses(self, item: Item, way: Way) -> str:
        """Carriage returns: its reader opens the CSV as text, which makes line feeds of them."""
        if "\r" in (item.text or ""):
            return "have a caption with carriage returns, which this format cannot hold"
        return ""

    def write(self, laid: Iterable[Laid], folder: Path, way: Way) -> None:
        """The table, with the frame rate and the columns that were asked for behind its own."""
        rows = ((clip.video, clip.text, clip.fps, *clip.values) for clip in laid)
        with (folder / "videos.csv").open("w", encoding="utf-8", newline="") as stream:
            write_csv(stream, ("video", "caption", "fps", *way.names), rows)
