"""Ids of clips out of arguments, lists and tables."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from curate.cli.shared.clip_ids import clip_ids
from curate.configs.errors import BadTable, NoInput, UsageError


@pytest.mark.parametrize(
    "written",
    [
        "3\n1\n3\n",
        "id\n3\n1\n",
        "\ufeffid,flow\r\n3,0.5\r\n\r\n1,\r\n",
        'text,clip_id\n"a\nb",3\nx,1.0\n',
        "clip_id,id\n3,7\n1,8\n",
        "  id\n   3\n   1\n",
    ],
    ids=["lines", "header", "marks and CRLF", "clip_id", "clip_id before id", "aligned"],
)
def test_ids_of_a_file_come_once_each_in_order(tmp_path: Path, written: str) -> None:
    file = tmp_path / "ids.csv"
    file.write_bytes(written.encode())
    assert clip_ids(["5", "1"], str(file)) == [5, 1, 3]


def test_ids_come_from_stdin_and_from_parquet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow
    import pyarrow.parquet

    monkeypatch.setattr("sys.stdin", io.StringIO("id\n4\n2\n"))
    assert clip_ids([], "-") == [4, 2]
    file = tmp_path / "clips.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"path": ["a", "b"], "clip_id": [7, 6]}), file)
    assert clip_ids([], str(file)) == [7, 6]


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("1\nx\n", "line 2: 'x'"),
        ("1\n-2\n", "'-2'"),
        ("1\n0\n", "'0'"),
        ("1\n1.5\n", "'1.5'"),
        ("9223372036854775808\n", "'9223372036854775808'"),
        ("a,b\n1,2\n", "no column clip_id or id"),
        ("flow,id\n1\n", "line 2: ''"),
        ("id\n\udcff\n", "not the id"),
    ],
)
def test_what_is_no_id_is_refused_with_its_line(tmp_path: Path, written: str, says: str) -> None:
    file = tmp_path / "ids.csv"
    file.write_bytes(written.encode(errors="surrogateescape"))
    with pytest.raises(BadTable) as error:
        clip_ids([], str(file))
    assert says in str(error.value) or "utf-8" in str(error.value)


def test_nothing_to_pick_and_no_file_are_refused(tmp_path: Path) -> None:
    empty = tmp_path / "none.csv"
    empty.write_text("id\n")
    with pytest.raises(UsageError, match="holds no id"):
        clip_ids([], str(empty))
    with pytest.raises(UsageError, match="by their ids"):
        clip_ids([], None)
    with pytest.raises(UsageError, match="1e3 is not"):
        clip_ids(["1e3"], None)
    with pytest.raises(NoInput):
        clip_ids([], str(tmp_path / "gone.csv"))
    with pytest.raises(BadTable):
        clip_ids([], str(tmp_path))
