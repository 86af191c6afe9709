"""jsonl, read back by pandas and json."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from curate.configs.schema import Column
from curate.export.format import Way
from curate.export.formats.jsonl import Jsonl

WAY = Way(("text", "score"), {"text": Column("text", ""), "score": Column("float", "")})
ROWS = [["猫,\nline", 0.1], [None, float("nan")]]


def test_a_line_a_row_and_null_for_what_json_lacks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Jsonl().write(tmp_path / "x.jsonl", WAY, ROWS)
    written = (tmp_path / "x.jsonl").read_text(encoding="utf-8")
    assert [json.loads(line) for line in written.splitlines()] == [
        {"text": "猫,\nline", "score": 0.1},
        {"text": None, "score": None},
    ]
    assert pd.read_json(tmp_path / "x.jsonl", lines=True)["score"][0] == 0.1
    Jsonl().print(WAY, ROWS)
    assert capsys.readouterr().out == written
