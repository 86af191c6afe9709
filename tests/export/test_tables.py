"""Tables: one file that appears when it is whole, and what is refused before the work."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.configs.errors import PackageMissing, UsageError
from curate.export.formats.csv import write_csv
from curate.export.tables import check_target, whole


def test_half_a_file_never_counts(tmp_path: Path) -> None:
    target = tmp_path / "x.csv"
    target.write_text("before")
    with pytest.raises(RuntimeError), whole(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["x.csv"]


@pytest.mark.parametrize("name", ["x.xlsx", "x", "folder"])
def test_a_target_that_cannot_be_written_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError):
        check_target(tmp_path / name)


def test_a_target_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="not a folder"):
        check_target(tmp_path / "file" / "x.csv")


def test_parquet_without_pyarrow_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(PackageMissing, match="pip install 'pyarrow>="):
        check_target(tmp_path / "x.parquet")


def test_safe_cells_are_for_csv(tmp_path: Path) -> None:
    check_target(tmp_path / "x.csv", safe_cells=True)
    check_target(None, safe_cells=True)
    with pytest.raises(UsageError, match=r"--safe-cells is for CSV.*x\.parquet"):
        check_target(tmp_path / "x.parquet", safe_cells=True)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r")))
@settings(max_examples=50)
def test_any_text_survives_csv(words: str) -> None:
    stream = io.StringIO(newline="")
    write_csv(stream, ["text"], [[words]])
    assert list(csv.reader(io.StringIO(stream.getvalue(), newline=""))) in (
        [["text"], [words]],
        [["text"], []],
    )
