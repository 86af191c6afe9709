"""`csv`: a table that every program reads."""

from __future__ import annotations

import csv as text_tables
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TextIO

from curate.export.format import TableFormat, Way


class Csv(TableFormat):
    """UTF-8, with `,` between cells, a line feed behind lines, quotes where a cell needs them."""

    name = "csv"
    reader = "pandas, spreadsheets, Open-Sora"
    ending = ".csv"

    def write(self, path: Path, way: Way, rows: Iterable[Sequence[Any]]) -> None:
        """A header and the rows. Raises OSError."""
        with path.open("w", encoding="utf-8", newline="") as stream:
            write_csv(stream, way.names, rows)

    def print(self, way: Way, rows: Iterable[Sequence[Any]]) -> None:
        """A header and the rows, on stdout."""
        write_csv(sys.stdout, way.names, rows)


def write_csv(
    stream: TextIO, names: Sequence[str], rows: Iterable[Sequence[Any]], quote_all: bool = False
) -> None:
    """Write a header and rows; fields are quoted where they need it, or all."""
    if quote_all:
        writer = text_tables.writer(stream, lineterminator="\n", quoting=text_tables.QUOTE_ALL)
    else:
        writer = text_tables.writer(stream, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows)
