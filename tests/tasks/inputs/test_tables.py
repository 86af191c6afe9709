"""Which inputs a table names, and which tables are refused."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from curate.configs.errors import ConfigError, NoInput
from curate.configs.schema import ABSENT
from curate.tasks.inputs.files import PassedOver
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
        ("path\na\0b.mp4\n", "line 2: path holds a NUL character"),
        ("path,text\na.mp4,a\0b\n", "line 2: column text holds a NUL character"),
        ("path,text\n\na.mp4,x\n\nb.mp4,a\0b\n", "line 5: column text holds a NUL"),
        (b"path,caf\xe9\na.mp4,x\n", "line 1: the name of column 2 is not UTF-8"),
        ("path,text,text\na.mp4,x,y\n", "line 1: column text is there twice"),
        ("path,path\na.mp4,b.mp4\n", "line 1: column path is there twice"),
        (",path,,text\n1,a.mp4,2,x\n", "line 1: two columns have no name"),
        ("path,text\na.mp4,x\npath,text\nb.mp4,y\n", "line 3 is the header once more"),
        ("path,text,,\na.mp4,x,,y\n", "line 2 has a cell in column 3, which has no name"),
        ("path,text\n".encode("utf-16"), "line 1: it is UTF-16"),
        ("path,text\n".encode("utf-16-be"), "line 1: it is UTF-16"),
        (b"path,text\na.mp4,caf\xe9\n", "column text is not UTF-8"),
    ],
)
def test_wrong_tables_are_refused_with_the_line(
    text: str | bytes, why: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=why):
        list(find_inputs(table(tmp_path, text)))


ROWS = "path,text\n1.mp4,one\n"


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ('2.mp4,"two\n3.mp4,three\n', "line 3: a quote that opens in this row is not closed up to"),
        ('"2.mp4,two\n3.mp4,three\n', "line 3: a quote .* up to the end, line 4"),
        ('2.mp4,"two\n3.mp4,"three"\n', "line 3: a quote .* where it closes, in line 4"),
        ('2.mp4,"two\n3.mp4,"three\n', "line 3: a quote .* where it closes, in line 4"),
        ('2.mp4,"two "2""\n', "line 3: a quote .* where it closes; close it"),
        ('2.mp4,"two\n3.mp4,three"\n', "line 3: a quote in column text is not closed"),
        ('"2.mp4,two\n3.mp4",three\n', "line 3: path goes over 2 lines and is no file"),
        ('2.mp4,"two\n\nlines"\n3.mp4,"x\n', "line 6: a quote .* up to the end"),
        ('2.mp4,"' + "x" * (1 << 24) + "x\n", "line 3: a cell is longer than 16777216"),
    ],
    ids=range(9),
)
def test_a_quote_that_is_not_closed_swallows_no_row(tmp_path: Path, rows: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        list(find_inputs(table(tmp_path, ROWS + rows)))


def test_captions_of_several_lines_and_quotes_are_kept(tmp_path: Path) -> None:
    text = 'first, second\n\n"quoted", third.\na.mp4'
    quoted = text.replace('"', '""')
    touch(tmp_path, "two\nlines.mp4")
    source = table(tmp_path, f'path,text\n"two\nlines.mp4","{quoted}"\n5" disk.mp4,6" long\n')
    first, second = find_inputs(source)
    assert (first.relpath, first.extra) == ("two\nlines.mp4", {"text": text})
    assert (second.relpath, second.extra) == ('5" disk.mp4', {"text": '6" long'})


def test_what_spreadsheets_leave_at_the_end_is_no_column(tmp_path: Path) -> None:
    source = table(tmp_path, ",path,text,,\n0,a.mp4,x,,\n1,b.mp4\n")
    assert [i.extra for i in find_inputs(source)] == [
        {"": "0", "text": "x"},  # pandas writes an index so
        {"": "1", "text": None},
    ]


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


def test_a_parquet_column_twice_is_refused(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = ["path", "text", "text"]
    pq.write_table(pa.table([["a.mp4"], ["x"], ["y"]], names=names), tmp_path / "list.parquet")
    with pytest.raises(ConfigError, match="column text is there twice"):
        list(find_inputs(str(tmp_path / "list.parquet")))


def test_a_parquet_file_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        list(find_inputs(table(tmp_path, b"not parquet at all", "list.parquet")))


def test_a_missing_table_is_no_input(tmp_path: Path) -> None:
    with pytest.raises(NoInput):
        list(find_inputs(str(tmp_path / "list.csv")))
