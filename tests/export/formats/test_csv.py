"""csv, read back by pandas."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pytest

from curate.configs.schema import Column
from curate.export.format import Way
from curate.export.formats.csv import Csv, write_csv

WAY = Way(("text", "n"), {"text": Column("text", ""), "n": Column("int", "")})
ROWS = [['said "hi",\nthen left', 1], ["", None]]


def test_pandas_reads_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Csv().write(tmp_path / "x.csv", WAY, ROWS)
    found = pd.read_csv(tmp_path / "x.csv", keep_default_na=False)
    assert found.to_numpy().tolist() == [['said "hi",\nthen left', "1"], ["", ""]]
    Csv().print(WAY, ROWS)
    assert capsys.readouterr().out == (tmp_path / "x.csv").read_text()


def test_all_fields_are_quoted_when_asked_for() -> None:
    stream = io.StringIO()
    write_csv(stream, ("a",), [("b",), (1,)], quote_all=True)
    assert stream.getvalue() == '"a"\n"b"\n"1"\n'
