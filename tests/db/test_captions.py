"""Captions from a table: about which clip a row is, and what becomes of its text."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from sqlalchemy import text

from curate.db import captions
from curate.db.captions import Loaded, Told
from tests.pipelines import Line, make_line

FOUND = (
    "SELECT c.id, c.text, t.model, t.text_raw, t.text FROM clips c LEFT JOIN captions t ON t.clip_id = c.id ORDER BY 1"
)


@pytest.fixture
def line(database_url: str, home: Path) -> Line:
    """Video a.mp4 with clips 1 and 2 that were cut, b.mp4 with clip 3."""
    line = make_line(database_url, home, ["score"])
    line.put_clips(2, "score", "/v/a.mp4")
    line.put_clips(1, "score", "/v/b.mp4")
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE clips SET path = '/c/' || clip_index || '.mp4' WHERE video_id = 1"))
    return line


def load(line: Line, rows: Iterable[Told]) -> Loaded:
    return captions.load(line.engine, line.dataset.id, rows, "table")


def test_a_row_is_about_a_clip_by_its_number_its_file_or_its_only_video(line: Line) -> None:
    rows = [Told(2, "/elsewhere", "two"), Told(None, "/c/0.mp4", "one"), Told(None, "/v/b.mp4", "three")]
    assert load(line, rows) == Loaded(3, 0, 0)
    expected = [(n, word, "table", word, None) for n, word in enumerate(("one", "two", "three"), 1)]
    assert line.rows(FOUND) == expected


def test_rows_about_no_clip_and_without_a_text_are_counted(line: Line) -> None:
    rows = [
        Told(99, "/c/0.mp4", "a"),
        Told(None, "/v/a.mp4", "two clips"),
        Told(None, "/x", "a"),
        Told(1, "/c/0.mp4", ""),
    ]
    assert load(line, rows) == Loaded(0, 1, 3)
    assert line.rows("SELECT count(*) FROM captions") == [(0,)]


def test_a_clip_of_another_dataset_is_not_touched(line: Line) -> None:
    assert captions.load(line.engine, line.dataset.id + 1, [Told(1, "/c/0.mp4", "a")], "table") == Loaded(0, 0, 1)


def test_the_newest_row_takes_the_place_of_those_before_and_of_no_other_model(line: Line) -> None:
    with line.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO captions (clip_id, model, revision, prompt, text_raw, created_at)"
                " VALUES (1, 'm', '', '', 'a', 5)"
            )
        )
    load(line, [Told(1, "", "first"), Told(1, "", "second")])
    load(line, [Told(1, "", "third")])
    assert line.rows("SELECT model, text_raw FROM captions ORDER BY id") == [("m", "a"), ("table", "third")]


def test_many_rows_go_in_pieces(line: Line) -> None:
    rows = (Told(1 + n % 3, "", f"text {n}") for n in range(1000))
    assert load(line, rows).unknown == 0
    assert [row[1] for row in line.rows(FOUND)] == ["text 999", "text 997", "text 998"]
