"""`diffsynth`: metadata.csv with the columns video and prompt."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from curate.export.format import FolderFormat, Laid, Way
from curate.export.formats.csv import write_csv


class DiffSynth(FolderFormat):
    """All fields are quoted; paths are relative to the folder."""

    name = "diffsynth"
    reader = "DiffSynth-Studio (dataset_base_path, dataset_metadata_path)"

    def write(self, laid: Iterable[Laid], folder: Path, way: Way) -> None:
        """The table, with the columns that were asked for behind its own."""
        rows = ((clip.video, clip.text, *clip.values) for clip in laid)
        with (folder / "metadata.csv").open("w", encoding="utf-8", newline="") as stream:
            write_csv(stream, ("video", "prompt", *way.names), rows, quote_all=True)
