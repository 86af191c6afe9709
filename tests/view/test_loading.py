"""Rows become arrays, NULL is told from NaN, and rows that changed since do not shift others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text

from curate.configs.errors import NotANumber
from curate.db.engine import reading
from curate.db.filters.judge import Judge
from curate.view.loading import STATUSES, WantedRows, load_rows, read_columns
from tests.pipelines import Line, make_line

NO_VIDEOS = np.zeros(0, np.int64)


@pytest.fixture
def line(database_url: str, home: Path) -> Line:
    """Five clips with the scores 0, 1, NULL, 3 and 4."""
    line = make_line(database_url, home, ["score", "good: score >= 2"])
    line.put_clips(5, "done", status="kept")
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE clips SET score = clip_index WHERE clip_index <> 2"))
    return line


def wanted(line: Line, **more: object) -> WantedRows:
    return WantedRows(Judge.of(line.dataset, line.pipeline), "clip", ["score"], **more)  # type: ignore[arg-type]


def test_null_is_nan_and_a_row_says_where_it_stands(line: Line) -> None:
    ids = np.array([row[0] for row in line.rows("SELECT id FROM videos")])
    with reading(line.engine) as connection:
        rows = load_rows(connection, wanted(line), ids)
    assert str(rows.columns["score"].tolist()) == "[0.0, 1.0, nan, 3.0, 4.0]"
    assert [STATUSES[status] for status in rows.status] == ["kept"] * 5
    assert rows.decided.all() and rows.going_on.all()
    assert (rows.video == 0).all()


def test_clauses_of_more_filters_than_a_number_has_bits_are_kept_apart(line: Line) -> None:
    rest = {f"f{n}": f"clip_index = {n % 5}" for n in range(70)}
    with reading(line.engine) as connection:
        rows = load_rows(connection, wanted(line, rest=rest), NO_VIDEOS)
    assert all(
        rows.rest[f"f{n}"][0].tolist() == [n % 5 == index for index in range(5)] for n in range(70)
    )


def test_null_clauses_are_told_from_false_ones(line: Line) -> None:
    with reading(line.engine) as connection:
        rows = load_rows(connection, wanted(line, rest={"f": "(score <> 1)"}), NO_VIDEOS)
    true, null = rows.rest["f"]
    assert true.tolist() == [True, False, False, True, True]
    assert null.tolist() == [False, False, True, False, False]


def test_a_column_read_later_is_of_the_same_rows(line: Line) -> None:
    with reading(line.engine) as connection:
        rows = load_rows(connection, wanted(line), NO_VIDEOS)
    with line.engine.begin() as connection:
        connection.execute(text("DELETE FROM clips WHERE clip_index = 1"))
    line.put_clips(2, "score", "/v/y.mp4")
    with reading(line.engine) as connection:
        values = read_columns(connection, rows, wanted(line))["score"]
    assert str(values.tolist()) == "[0.0, nan, nan, 3.0, 4.0]"


def test_nan_is_refused(postgres_url: str, home: Path) -> None:
    line = make_line(postgres_url, home, ["score"])
    line.put_clips(1, "done", status="kept")
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE clips SET score = 'NaN'"))
    with reading(line.engine) as connection, pytest.raises(NotANumber, match="score of clips"):
        load_rows(connection, wanted(line), NO_VIDEOS)
