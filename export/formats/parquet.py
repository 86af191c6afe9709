"""`parquet`: a table with types."""

from __future__ import annotations

import itertools
import shutil
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from curate.configs.errors import PackageMissing, ServiceError, UsageError
from curate.configs.packages import install
from curate.export.format import TableFormat, Way

ROWS = 5000  # of a row group


class Parquet(TableFormat):
    """Numbers are int64 or float64, all else is text."""

    name = "parquet"
    reader = "pandas, datasets, Spark"
    ending = ".parquet"

    def check(self) -> None:
        """Raise PackageMissing without pyarrow, ServiceError where it does not load."""
        check_pyarrow()

    def write(self, path: Path, way: Way, rows: Iterable[Sequence[Any]]) -> None:
        """A row group a chunk of rows. Raises OSError."""
        import pyarrow
        import pyarrow.parquet

        types = {"float": pyarrow.float64(), "int": pyarrow.int64(), "text": pyarrow.string()}
        schema = pyarrow.schema([(name, types[way.kinds[name].kind]) for name in way.names])
        iterator = iter(rows)
        with pyarrow.parquet.ParquetWriter(path, schema) as writer:
            while chunk := list(itertools.islice(iterator, ROWS)):
                columns = [list(c) for c in zip(*chunk, strict=True)]
                writer.write_table(pyarrow.table(columns, schema=schema))

    def print(self, way: Way, rows: Iterable[Sequence[Any]]) -> None:
        """The file, on stdout, once it is whole: a pipe cannot be sought in."""
        if sys.stdout.isatty():
            raise UsageError(what="a terminal shows no Parquet; send it to a file or a program")
        with tempfile.TemporaryDirectory(prefix="curate-") as folder:
            path = Path(folder) / "whole.parquet"
            self.write(path, way, rows)
            with path.open("rb") as stream:
                shutil.copyfileobj(stream, sys.stdout.buffer, 1 << 20)


def check_pyarrow(what: str = "Writing Parquet") -> None:
    """Raise PackageMissing without pyarrow, ServiceError where it does not load."""
    try:
        import pyarrow  # noqa: F401
    except ModuleNotFoundError:
        how = install("pyarrow")
        raise PackageMissing(what=what, package="pyarrow", install=how) from None
    except ImportError as error:  # it is there, and does not go with another package
        raise ServiceError(what=what, why=error) from None
