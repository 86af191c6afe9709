"""`jsonl`: an object a line."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from curate.export.format import TableFormat, Way, json_line


class Jsonl(TableFormat):
    """UTF-8, an object a line; NULL is null."""

    name = "jsonl"
    reader = "datasets, jq"
    ending = ".jsonl"

    def write(self, path: Path, way: Way, rows: Iterable[Sequence[Any]]) -> None:
        """A line a row. Raises OSError."""
        with path.open("w", encoding="utf-8", newline="") as stream:
            stream.writelines(json_line(way.names, row) + "\n" for row in rows)

    def print(self, way: Way, rows: Iterable[Sequence[Any]]) -> None:
        """A line a row, on stdout."""
        sys.stdout.writelines(json_line(way.names, row) + "\n" for row in rows)
