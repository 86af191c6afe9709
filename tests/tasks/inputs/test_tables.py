"""Which inputs a table names, and which tables are refused."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from curate.configs.errors import ConfigError, NoInput
from curate.tasks.inputs.files import ABSENT, PassedOver
from curate.tasks.inputs.find import find_inputs
from tests.tasks.inputs.cases import relpaths, table, touch


def test_a_table_keeps_its_other_columns(tmp_path: Path) -> None:
    touch(tmp_path, "v/a.mp4")
    source = table(tmp_path, 'path,text,score\nv/a.mp4,"two\nlines, quoted",3\n/else/b.mp4,,\n')
    a, b = find_inputs(source)
    assert (a.path, a.relpath) == (str(tmp_path / "v/a.mp4"), "v/a.mp4")
    assert a.extra == {"text": "two\nlines, quoted", "score": "3"}
    assert (b.relpath, b.fingerprint, b.extra) == (
        "/else/b.mp4",
        ABSENT,
        {"text": None, "score": None},
    )


def test_a_path_listed_twice_is_one_input_and_counted(tmp_path: Path) -> None:
    passed_over = PassedOver()
    source = table(tmp_path, f"path\na.mp4\n./a.mp4\n{tmp_path}/a.mp4\nb.mp4\n")
    assert relpaths(source, passed_over) == ["a.mp4", "b.mp4"]
    assert passed_over.duplicates == 2


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("name\na.mp4\n", "no column path"),
        ("", "no column path"),
        ("path,text\n,x\n", "line 2: path is None"),
        ("path\na.mp4,too,many\n", "more cells"),
        ("path\na\0b.mp4\n", "line 2: path is"),
        (b"path,text\na.mp4,caf\xe9\n", "column text is not UTF-8"),
    ],
)
def test_wrong_tables_are_refused_with_the_line(
    text: str | bytes, why: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=why):
        list(find_inputs(table(tmp_path, text)))


def test_a_table_may_start_with_a_byte_order_mark_and_name_files_that_are_not_utf8(
    tmp_path: Path,
) -> None:
    touch(tmp_path, os.fsdecode(b"caf\xe9.mp4"))
    (found,) = find_inputs(table(tmp_path, b"\xef\xbb\xbfpath\ncaf\xe9.mp4\n"))
    assert found.relpath == "caf%E9.mp4" and found.fingerprint != ABSENT


def test_only_line_ends_end_a_row(tmp_path: Path) -> None:
    (found,) = find_inputs(table(tmp_path, "path,text\r\na.mp4,one\u2028two\x0cthree\r\n"))
    assert found.extra == {"text": "one\u2028two\x0cthree"}


def test_parquet_values_are_safe_for_json(tmp_path: Path) -> None:
    import datetime

    import pyarrow as pa
    import pyarrow.parquet as pq

    day = datetime.date(2026, 1, 2)
    columns = {
        "path": ["a.mp4", "s.mp4"],
        "aes": [4.5, float("nan")],
        "day": [day, None],
        "tags": [["x"], []],
    }
    pq.write_table(pa.table(columns), tmp_path / "list.parquet")
    a, b = find_inputs(str(tmp_path / "list.parquet"))
    assert json.loads(json.dumps(a.extra)) == {"aes": 4.5, "day": "2026-01-02", "tags": ["x"]}
    assert b.extra == {"aes": None, "day": None, "tags": []}


def test_a_parquet_file_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        list(find_inputs(table(tmp_path, b"not parquet at all", "list.parquet")))


def test_a_missing_table_is_no_input(tmp_path: Path) -> None:
    with pytest.raises(NoInput):
        list(find_inputs(str(tmp_path / "list.csv")))
