"""Ids of clips: as arguments, and out of a file."""

from __future__ import annotations

import contextlib
import csv
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from curate.configs.errors import BadTable, UsageError
from curate.tasks.inputs.find import check_there
from curate.tasks.inputs.tables import read_rows

COLUMNS = ("clip_id", "id")  # the first that a table has
LARGEST = (1 << 63) - 1


def clip_ids(given: Sequence[str], source: str | None) -> list[int]:
    """The ids given and those in a file, each once, in order.

    The file has one id a line, or is a table with a column of COLUMNS: a CSV, a Parquet file, or
    `-` for a CSV on stdin. Raises UsageError for what is no id, NoSuchFile, BadTable.
    """
    ids: dict[int, None] = {}
    for word in given:
        number = _number(word)
        if number is None:
            raise UsageError(what=f"{word} is not the id of a clip: give whole numbers")
        ids[number] = None
    for place, cell in _cells(source) if source else ():
        number = _number(cell)
        if number is None:
            why = f"{place}: {cell!r} is not the id of a clip, a whole number"
            raise BadTable(source=source, why=why)
        ids[number] = None
    if not ids:
        raise UsageError(
            what=f"{source} holds no id of a clip"
            if source
            else "Name clips by their ids, or "
            'give a file of ids with --from FILE. See: `curate sql "SELECT id FROM clips"`'
        )
    return list(ids)


def _number(value: object) -> int | None:
    """The id that a word or cell is; pandas writes 1.0 for 1 when another row has none."""
    text = str(value).strip().removesuffix(".0")
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else 0
    return number if 0 < number <= LARGEST else None


def _cells(source: str) -> Iterator[tuple[str, object]]:
    """Where each cell with an id stands in a file, and the cell."""
    if source != "-":
        check_there(source)
        if Path(source).suffix.lower() == ".parquet":
            for place, row in read_rows(source, COLUMNS):
                yield place, next(row[name] for name in COLUMNS if name in row)
            return
    try:
        with contextlib.ExitStack() as stack:
            stream = sys.stdin
            if source != "-":
                path = Path(source)
                stream = stack.enter_context(path.open(encoding="utf-8-sig", newline=""))
            reader = csv.reader(stream)
            column: int | None = None
            for cells in reader:
                if not any(cell.strip() for cell in cells):
                    continue
                if column is None:
                    names = [cell.strip().removeprefix("\ufeff") for cell in cells]
                    named = [names.index(name) for name in COLUMNS if name in names]
                    column = named[0] if named else 0
                    if named:
                        continue
                    if len(cells) > 1:
                        why = "it has no column clip_id or id"
                        raise BadTable(source=source, why=why)
                yield f"line {reader.line_num}", cells[column] if column < len(cells) else ""
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise BadTable(source=source, why=why) from None
