"""`videofolder`: clips, and metadata with a column file_name, for Hugging Face's `datasets`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from curate.configs.errors import UsageError
from curate.configs.schema import Column
from curate.export.format import FolderFormat, Laid, TableFormat, Way
from curate.export.formats.csv import Csv
from curate.export.formats.jsonl import Jsonl
from curate.export.formats.parquet import Parquet, check_pyarrow

FILE_NAME = "file_name"
TABLES: dict[str, TableFormat] = {t.name: t for t in (Parquet(), Jsonl(), Csv())}


class VideoFolder(FolderFormat):
    """Sides of a split are folders of their names, which `datasets` makes splits of."""

    name = "videofolder"
    reader = "datasets (load_dataset('videofolder', data_dir=…)), the Hub's viewer"
    needs_text = False
    columns = "usual"
    placings = ("link", "copy")

    def check(self, way: Way) -> None:
        """Raise PackageMissing without pyarrow, UsageError for another column file_name."""
        if way.metadata == "parquet":
            check_pyarrow()
        if FILE_NAME in way.names:
            raise UsageError(what=f"videofolder has a column {FILE_NAME}; leave it out: --columns")

    def write(self, laid: Iterable[Laid], folder: Path, way: Way) -> None:
        """The metadata, with the columns behind file_name."""
        kinds = {**way.kinds, FILE_NAME: Column("text", "path of the clip's file in the folder")}
        wide = replace(way, names=(FILE_NAME, *way.names), kinds=kinds)
        rows = ((clip.video, *clip.values) for clip in laid)
        TABLES[way.metadata].write(folder / f"metadata.{way.metadata}", wide, rows)
