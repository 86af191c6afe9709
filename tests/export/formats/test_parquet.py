"""parquet, read back by pandas."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from curate.configs.errors import UsageError
from curate.configs.schema import Column
from curate.export.format import Way
from curate.export.formats import parquet
from curate.export.formats.parquet import Parquet

WAY = Way(("text", "n"), {"text": Column("text", ""), "n": Column("int", "")})


def test_pandas_reads_the_same_from_stdout_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.setattr(parquet, "ROWS", 2)
    rows = [["a", 1], ["猫\n", None], [None, 3]]
    Parquet().write(tmp_path / "x.parquet", WAY, rows)
    found = pd.read_parquet(tmp_path / "x.parquet", dtype_backend="pyarrow")
    assert found["n"].to_list() == [1, pd.NA, 3] and found["text"][1] == "猫\n"
    Parquet().print(WAY, rows)
    assert capfdbinary.readouterr().out == (tmp_path / "x.parquet").read_bytes()


def test_a_terminal_is_spared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    with pytest.raises(UsageError, match="terminal"):
        Parquet().print(WAY, [])
