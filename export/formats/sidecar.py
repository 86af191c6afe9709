"""`sidecar`: each clip with its caption in a text file of the same name beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from curate.export.format import FolderFormat, Item, Laid, Way


class Sidecar(FolderFormat):
    """All in one folder, without folders in it: its readers look no deeper."""

    name = "sidecar"
    reader = "musubi-tuner (video_directory), diffusion-pipe and others after kohya's scripts"
    columns = "none"
    placings = ("link", "copy")

    def video(self, item: Item) -> str:
        """In the folder itself."""
        return f"{item.key}{item.ending}"

    def beside(self, item: Item) -> Mapping[str, str]:
        """The caption, as it is: no line break is added."""
        return {f"{item.key}.txt": item.text or ""}

    def write(self, laid: Iterable[Laid], folder: Path, way: Way) -> None:
        """Nothing more."""
