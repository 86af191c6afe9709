"""Reads tables of inputs: CSV or Parquet with a column `path` and any other columns."""

from __future__ import annotations

import csv
import datetime
import decimal
import io
import math
import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from itertools import zip_longest
from typing import Any, BinaryIO

from curate.configs.errors import BadTable, PackageMissing
from curate.configs.packages import install
from curate.configs.row_errors import Unreadable
from curate.configs.schema import ABSENT
from curate.configs.texts import storable
from curate.tasks.inputs.extensions import extension, is_media
from curate.tasks.inputs.files import Input, PassedOver, local_input, no_such_file, url_input
from curate.tasks.inputs.paths import from_table, is_url, to_text
from curate.tasks.storage.remote import RemoteFile

TableRow = dict[str, Any]

_LARGEST_CELL = 1 << 24  # characters: captions can be longer than csv's own 128 kB
# byte order marks, as surrogateescape decodes them
_MARKS_OF_UTF16 = ("\udcff\udcfe", "\udcfe\udcff")


def read_table(source: str, passed_over: PassedOver) -> Iterator[Input]:
    """The inputs in a CSV or Parquet file or URL, each path once, in order, read one by one.

    Relative paths count from the table's folder. Raises what `read_rows` raises, and BadTable for a
    row without a path.
    """
    seen: set[str] = set()
    for position, row in read_rows(source):
        item = as_input(source, position, row)
        if item.path in seen:
            passed_over.duplicates += 1
            continue
        seen.add(item.path)
        yield item


def read_rows(source: str, needed: Sequence[str] = ("path",)) -> Iterator[tuple[str, TableRow]]:
    """The position (such as: line 2) and the cells of each row.

    All cells but `path` are values that JSON can hold; empty CSV cells and NaN are None. Raises
    NoSuchFile when there is no table, and BadTable, with the line where the row begins or its
    number, when the table cannot be read, a quote is not closed, a row has too many cells, a text
    cannot be stored, the header has none of the columns `needed`, or a column twice, or comes once
    more.
    """
    try:
        stream: BinaryIO = (
            io.BufferedReader(RemoteFile(source)) if is_url(source) else open(source, "rb")  # noqa: PTH123, SIM115  closed below
        )
    except FileNotFoundError:
        raise no_such_file(source) from None
    except Unreadable as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise no_such_file(source) from None
        raise BadTable(source=to_text(source), why=error.fields["why"]) from None
    except OSError as error:
        raise BadTable(source=to_text(source), why=error.strerror or error) from None
    read = _parquet_rows if extension(source) == ".parquet" else _csv_rows
    with stream, closing(read(source, stream, needed)) as rows:
        for position, row in rows:
            cells = {n: value if n == "path" else _json_safe(value) for n, value in row.items()}
            for name, value in cells.items():
                if name != "path" and isinstance(value, str) and storable(value) != value:
                    what = "holds a NUL character" if "\0" in value else "is not UTF-8 text"
                    how = "take it out" if "\0" in value else "save it as UTF-8"
                    why = f"{position}: column {name} {what}; {how}"
                    raise BadTable(source=to_text(source), why=why)
            yield position, cells


def other_columns(source: str) -> list[str]:
    """The columns of a table that are not `path`; none when it has no row. Raises what `read_rows`
    raises.
    """
    _, first = next(read_rows(source), ("", {}))
    return [name for name in first if name != "path"]


def as_input(source: str, position: str, row: TableRow) -> Input:
    """The Input in a row of `read_rows`. Raises BadTable when the row has no path."""
    extra = dict(row)
    path = extra.pop("path", None)
    if not isinstance(path, str) or not path.strip():
        why = f"{position}: path is {path!r}; give each row the path of a file"
        raise BadTable(source=to_text(source), why=why)
    if "\0" in path:
        why = f"{position}: path holds a NUL character, which no path may"
        raise BadTable(source=to_text(source), why=why)
    if is_url(source):
        folder = source.rpartition("/")[0]
    else:
        folder = os.path.dirname(os.path.abspath(source))  # noqa: PTH100, PTH120
    named = from_table(path)
    full = named if is_url(path) or path.startswith("/") else f"{folder}/{named}"
    full = full.removeprefix("file://")
    found = (url_input if is_url(full) else local_input)(full, folder, extra)
    if "\n" in path and found.fingerprint == ABSENT:
        lines = path.count("\n") + 1
        why = f"{position}: path goes over {lines} lines and is no file; is a quote not closed?"
        raise BadTable(source=to_text(source), why=why)
    return found


def _json_safe(value: Any) -> Any:
    """The value, with dates (ISO 8601), decimals and bytes (hexadecimal) in it as text.

    NaN and infinity become None.
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(k): _json_safe(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_json_safe(v) for v in value]
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, decimal.Decimal | datetime.timedelta):
        return str(value)
    return value.hex() if isinstance(value, bytes) else value


def _csv_rows(
    source: str, stream: BinaryIO, needed: Sequence[str]
) -> Generator[tuple[str, TableRow], None, None]:
    # keep paths that are not UTF-8, so that their files are found; read_rows checks other cells
    text = io.TextIOWrapper(stream, "utf-8-sig", "surrogateescape", newline="")
    csv.field_size_limit(_LARGEST_CELL)
    reader = csv.reader(text, strict=True)
    header: list[str] = []
    columns: list[str] = []
    line = 1  # where the next row begins
    try:
        for cells in reader:
            position, line = f"line {line}", reader.line_num + 1
            if not cells:
                continue
            if not columns:
                # spreadsheets leave unnamed columns at the end
                last = max((at for at, name in enumerate(cells) if name), default=-1)
                header, columns = cells, cells[: last + 1]
                _check_columns(source, columns, needed, f"{position}: ")
                continue
            why = _problem(header, columns, cells)
            if why:
                raise BadTable(source=to_text(source), why=f"{position}{why}")
            values = (cell or None for cell in cells[: len(columns)])
            yield position, dict(zip_longest(columns, values))
        _check_columns(source, columns, needed)
    except csv.Error as error:
        why = f"line {line}: {_csv_error(error, line, reader.line_num)}"
        raise BadTable(source=to_text(source), why=why) from None
    finally:
        text.detach()  # read_rows closes the stream


def _problem(header: Sequence[str], columns: Sequence[str], cells: Sequence[str]) -> str:
    """What is wrong with a row of a CSV file, after its position; '' for nothing."""
    if len(cells) > len(header):
        return " has more cells than there are columns"
    if any(cells[len(columns) :]):
        return f" has a cell in column {len(columns) + 1}, which has no name"
    if list(cells) == list(header):
        return " is the header once more; take it out"
    number = next((at for at, cell in enumerate(cells) if _swallows(columns, cell)), None)
    if number is None:
        return ""
    name = columns[number]
    return f": a quote in column {name} is not closed: the cell goes on over the rows below it"


def _swallows(columns: Sequence[str], cell: str) -> bool:
    """Whether a cell holds, after its first line, what looks like a row of the table."""
    if "\n" not in cell or "path" not in columns:
        return False
    at = columns.index("path")
    rows = [line.split(",") for line in cell.split("\n")[1:]]
    return any(len(row) > max(at, 1) and is_media(row[at].strip("'\" ")) for row in rows)


def _csv_error(error: csv.Error, first: int, last: int) -> str:
    """What a csv.Error means, of a row that begins in one line and was read up to another."""
    text = str(error)
    if "end of data" in text:
        return f"a quote that opens in this row is not closed up to the end, line {last}"
    if "field limit" in text:
        return f"a cell is longer than {_LARGEST_CELL} characters; is a quote not closed?"
    if "expected after" in text:
        where = "" if last == first else f", in line {last}"
        how = 'close it, or write a " inside a quoted cell twice'
        what = "a quote that opens in this row is not closed, or text follows where it closes"
        return f"{what}{where}; {how}"
    return text


def _parquet_rows(
    source: str, stream: BinaryIO, needed: Sequence[str]
) -> Generator[tuple[str, TableRow], None, None]:
    try:
        import pyarrow.parquet
    except ImportError:
        how = install("pyarrow")
        raise PackageMissing(what="reading Parquet", package="pyarrow", install=how) from None
    try:
        table = pyarrow.parquet.ParquetFile(stream)
        _check_columns(source, table.schema_arrow.names, needed)
        batches = table.iter_batches(batch_size=4096)
        rows = (row for batch in batches for row in batch.to_pylist())
        for number, row in enumerate(rows, 1):
            yield f"row {number}", row
    except (pyarrow.ArrowException, UnicodeDecodeError) as error:
        raise BadTable(source=to_text(source), why=" ".join(str(error).split())) from None


def _check_columns(
    source: str, names: Sequence[str], needed: Sequence[str], position: str = ""
) -> None:
    columns = ", ".join(map(repr, names)) or "none"
    why = ""
    if any("\0" in name for name in names) or (names[:1] and names[0][:2] in _MARKS_OF_UTF16):
        why = "it is UTF-16 text, or no text at all; save it as UTF-8"
    elif not set(needed) & set(names):
        why = f"it has no column {' or '.join(needed)} (columns: {columns})"
    elif twice := next((name for name in names if names.count(name) > 1), None):
        why = f"column {twice} is there twice; rename one or take it out"
    elif names.count("") > 1:
        why = "two columns have no name; name them or take them out"
    elif wrong := next((name for name in names if storable(name) != name), None):
        why = f"the name of column {names.index(wrong) + 1} is not UTF-8 text; save it as UTF-8"
    if why:
        raise BadTable(source=to_text(source), why=position + why)
