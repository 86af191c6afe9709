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
from typing import Any, BinaryIO

from curate.configs.errors import BadTable, NoInput, PackageMissing
from curate.configs.packages import install_extra
from curate.configs.texts import storable
from curate.tasks.inputs.extensions import extension
from curate.tasks.inputs.files import Input, PassedOver, local_input, url_input
from curate.tasks.inputs.paths import is_url, to_text

TableRow = dict[str, Any]


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
    NoInput when there is no table, and BadTable, with the line or row, when the table cannot be
    read, it has none of the columns `needed`, a row has too many cells, or a text cannot be stored.
    """
    try:
        if is_url(source):
            import fsspec

            stream = fsspec.open(source, "rb").open()
        else:
            stream = open(source, "rb")  # noqa: PTH123, SIM115  closed below
    except FileNotFoundError:
        raise NoInput(path=to_text(source), looked_for="a table of paths") from None
    except OSError as error:
        raise BadTable(source=to_text(source), why=error.strerror or error) from None
    read = _parquet_rows if extension(source) == ".parquet" else _csv_rows
    with stream, closing(read(source, stream, needed)) as rows:
        for position, row in rows:
            cells = {n: value if n == "path" else _json_safe(value) for n, value in row.items()}
            for name, value in cells.items():
                if name != "path" and isinstance(value, str) and storable(value) != value:
                    why = f"{position}: column {name} is not UTF-8 text; save it as UTF-8"
                    raise BadTable(source=to_text(source), why=why)
            yield position, cells


def as_input(source: str, position: str, row: TableRow) -> Input:
    """The Input in a row of `read_rows`. Raises BadTable when the row has no path."""
    extra = dict(row)
    path = extra.pop("path", None)
    if not isinstance(path, str) or not path.strip() or "\0" in path:
        why = f"{position}: path is {path!r}; give each row the path of a file"
        raise BadTable(source=to_text(source), why=why)
    if is_url(source):
        folder = source.rpartition("/")[0]
    else:
        folder = os.path.dirname(os.path.abspath(source))  # noqa: PTH100, PTH120
    full = path if is_url(path) or path.startswith("/") else f"{folder}/{path}"
    full = full.removeprefix("file://")
    return (url_input if is_url(full) else local_input)(full, folder, extra)


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
    csv.field_size_limit(1 << 24)  # captions can be longer than csv's own 128 kB
    reader = csv.DictReader(text)
    try:
        _check_columns(source, reader.fieldnames or (), needed)
        for row in reader:
            position = f"line {reader.line_num}"
            if None in row:
                why = f"{position} has more cells than there are columns"
                raise BadTable(source=to_text(source), why=why)
            yield position, {name: value or None for name, value in row.items()}
    except csv.Error as error:
        raise BadTable(source=to_text(source), why=f"line {reader.line_num}: {error}") from None
    finally:
        text.detach()  # read_rows closes the stream


def _parquet_rows(
    source: str, stream: BinaryIO, needed: Sequence[str]
) -> Generator[tuple[str, TableRow], None, None]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        install = install_extra("parquet")
        raise PackageMissing(what="reading Parquet", package="pyarrow", install=install) from None
    try:
        table = pyarrow.parquet.ParquetFile(stream)
        _check_columns(source, table.schema_arrow.names, needed)
        batches = table.iter_batches(batch_size=4096)
        rows = (row for batch in batches for row in batch.to_pylist())
        for number, row in enumerate(rows, 1):
            yield f"row {number}", row
    except (pyarrow.ArrowException, UnicodeDecodeError) as error:
        raise BadTable(source=to_text(source), why=" ".join(str(error).split())) from None


def _check_columns(source: str, names: Sequence[str], needed: Sequence[str]) -> None:
    if not set(needed) & set(names):
        columns = ", ".join(map(repr, names)) or "none"
        why = f"it has no column {' or '.join(needed)} (columns: {columns})"
        raise BadTable(source=to_text(source), why=why)
