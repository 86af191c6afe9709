"""Reads tables of inputs: CSV or Parquet with a column `path`, and whatever other columns there
are.
"""

from __future__ import annotations

import csv
import datetime
import decimal
import io
import math
import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, BinaryIO

from curate.configs.errors import BadTable, NoInput, PackageMissing
from curate.configs.texts import storable
from curate.tasks.inputs.paths import is_url, to_text
from curate.tasks.inputs.walk import Input, extension, local_input, named_url

Row = dict[str, Any]


def read_table(source: str) -> Iterator[Input]:
    """The rows of a CSV or Parquet file or URL, in order, read as they are used.

    Relative paths count from the table's folder. Raises as `read_rows`, and BadTable for a row
    without a path.
    """
    for place, row in read_rows(source):
        yield as_input(source, place, row)


def read_rows(source: str, needed: Sequence[str] = ("path",)) -> Iterator[tuple[str, Row]]:
    """Place (its line) and cells of each row, safe for JSON but for the path; empty CSV cells and
    NaN are None.

    One of the columns `needed` has to be there. Raises NoInput when there is no table, BadTable
    (with the line or row) when it cannot be read, has none of them, a row has too many cells, or a
    text cannot be stored.
    """
    with _open(source) as stream:
        read = _parquet_rows if extension(source) == ".parquet" else _csv_rows
        with closing(read(source, stream, needed)) as rows:
            for place, row in rows:
                yield (
                    place,
                    {
                        name: v if name == "path" else _cell(source, place, name, v)
                        for name, v in row.items()
                    },
                )


@contextmanager
def _open(source: str) -> Iterator[BinaryIO]:
    try:
        if is_url(source):
            import fsspec

            opened = fsspec.open(source, "rb").open()
        else:
            opened = open(source, "rb")  # noqa: PTH123, SIM115  closed below
    except FileNotFoundError:
        raise NoInput(path=to_text(source), looked_for="a table of paths") from None
    except OSError as error:
        raise BadTable(source=to_text(source), why=error.strerror or error) from None
    with opened:
        yield opened


def _cell(source: str, place: str, column: str, value: Any) -> Any:
    safe = _json_safe(value)
    if isinstance(safe, str) and storable(safe) != safe:
        raise BadTable(
            source=to_text(source),
            why=f"{place}: column {column} is not UTF-8 text; save it as UTF-8",
        )
    return safe


def as_input(source: str, place: str, row: Row) -> Input:
    """The Input that a row of `read_rows` is about. Raises BadTable when it has no path."""
    extra = dict(row)
    path = extra.pop("path", None)
    if not isinstance(path, str) or not path.strip() or "\0" in path:
        raise BadTable(
            source=to_text(source),
            why=f"{place}: path is {path!r}; give each row the path of a file",
        )
    full = path if is_url(path) or path.startswith("/") else _folder(source) + "/" + path
    if full.startswith("file://"):
        full = full.removeprefix("file://")
    return (
        named_url(full, _folder(source), extra)
        if is_url(full)
        else local_input(full, _folder(source), extra)
    )


def _folder(source: str) -> str:
    if is_url(source):
        return source.rpartition("/")[0]
    return os.path.dirname(os.path.abspath(source))  # noqa: PTH100, PTH120


def _json_safe(value: Any) -> Any:
    """value with what JSON lacks made text: dates ISO 8601, decimals exact, bytes hexadecimal; NaN
    is None.
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
) -> Generator[tuple[str, Row], None, None]:
    # names that are not UTF-8 are kept, so that their files are found; other columns are checked
    # later
    text = io.TextIOWrapper(stream, "utf-8-sig", "surrogateescape", newline="")
    csv.field_size_limit(1 << 24)  # captions can be longer than csv's own 128 kB
    reader = csv.DictReader(text)
    try:
        _need(source, reader.fieldnames or (), needed)
        for row in reader:
            place = f"line {reader.line_num}"
            if None in row:
                raise BadTable(
                    source=to_text(source), why=f"{place} has more cells than there are columns"
                )
            yield place, {name: value or None for name, value in row.items()}
    except csv.Error as error:
        raise BadTable(source=to_text(source), why=f"line {reader.line_num}: {error}") from None
    finally:
        text.detach()  # the stream is closed by who opened it


def _parquet_rows(
    source: str, stream: BinaryIO, needed: Sequence[str]
) -> Generator[tuple[str, Row], None, None]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        install = 'pip install "curate[parquet]"'
        raise PackageMissing(what="reading Parquet", package="pyarrow", install=install) from None
    try:
        table = pyarrow.parquet.ParquetFile(stream)
        _need(source, table.schema_arrow.names, needed)
        place = 0
        for batch in table.iter_batches(batch_size=4096):
            for row in batch.to_pylist():
                place += 1
                yield f"row {place}", row
    except (pyarrow.ArrowException, UnicodeDecodeError) as error:
        raise BadTable(source=to_text(source), why=" ".join(str(error).split())) from None


def _need(source: str, names: Any, needed: Sequence[str]) -> None:
    if not set(needed) & set(names):
        shown = ", ".join(map(repr, names)) or "none"
        raise BadTable(
            source=to_text(source), why=f"it has no column {' or '.join(needed)} (columns: {shown})"
        )
