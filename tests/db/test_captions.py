"""Captions from a table: about which clip a row is, and what becomes of its text."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from sqlalchemy import text

from curate.configs.errors import FilterError
from curate.db import captions
from curate.db.captions import LoadCounts, TableCaption
from tests.pipelines import Line, make_line

FOUND = (
    "SELECT c.id, c.text, t.model, t.text_raw, t.text "
    "FROM clips c LEFT JOIN captions t ON t.clip_id = c.id ORDER BY 1"
)


@pytest.fixture
def line(database_url: str, home: Path) -> Line:
    """Video a.mp4 with clips 1 and 2 that were cut, b.mp4 with clip 3."""
    line = make_line(database_url, home, ["score"])
    line.put_clips(2, "score", "/v/a.mp4")
    line.put_clips(1, "score", "/v/b.mp4")
    with line.engine.begin() as connection:
        connection.execute(
            text("UPDATE clips SET path = '/c/' || clip_index || '.mp4' WHERE video_id = 1")
        )
    return line


def load(line: Line, rows: Iterable[TableCaption]) -> LoadCounts:
    return captions.load(line.engine, line.dataset.id, rows, "table")


def test_a_row_is_about_a_clip_by_its_number_its_file_or_its_only_video(line: Line) -> None:
    rows = [
        TableCaption(2, "/elsewhere", "two"),
        TableCaption(None, "/c/0.mp4", "one"),
        TableCaption(None, "/v/b.mp4", "three"),
    ]
    assert load(line, rows) == LoadCounts(loaded=3)
    expected = [(n, word, "table", word, None) for n, word in enumerate(("one", "two", "three"), 1)]
    assert line.rows(FOUND) == expected


def test_rows_about_no_clip_and_without_a_text_are_counted(line: Line) -> None:
    rows = [
        TableCaption(99, "/c/0.mp4", "a"),
        TableCaption(None, "/v/a.mp4", "two clips"),
        TableCaption(None, "/x", "a"),
        TableCaption(1, "/c/0.mp4", ""),
    ]
    assert load(line, rows) == LoadCounts(empty=1, unknown=3)
    assert line.rows("SELECT count(*) FROM captions") == [(0,)]


def test_a_clip_of_another_dataset_is_not_touched(line: Line) -> None:
    assert captions.load(
        line.engine, line.dataset.id + 1, [TableCaption(1, "/c/0.mp4", "a")], "table"
    ) == LoadCounts(unknown=1)


def test_the_newest_row_takes_the_place_of_those_before_and_of_no_other_model(line: Line) -> None:
    with line.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO captions (clip_id, model, revision, prompt, text_raw, created_at)"
                " VALUES (1, 'm', '', '', 'a', 5)"
            )
        )
    load(line, [TableCaption(1, "", "first"), TableCaption(1, "", "second")])
    load(line, [TableCaption(1, "", "third")])
    assert line.rows("SELECT model, text_raw FROM captions ORDER BY id") == [
        ("m", "a"),
        ("table", "third"),
    ]


def test_a_text_that_the_clip_has_already_is_no_caption(line: Line) -> None:
    """Most rows of an exported table come back as they were."""
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE clips SET text = 'A dog. Extra.' WHERE id < 3"))
    assert load(
        line,
        [
            TableCaption(1, "", "A dog. Extra."),
            TableCaption(2, "", "A cat."),
            TableCaption(3, "", "a"),
        ],
    ) == LoadCounts(2, 1)
    assert line.rows("SELECT clip_id, text_raw FROM captions ORDER BY 1") == [
        (2, "A cat."),
        (3, "a"),
    ]
    assert load(
        line, [TableCaption(2, "", "A dog. Extra."), TableCaption(2, "", "A cat.")]
    ) == LoadCounts(0, 1), "the last one counts"


INSERT = (
    "INSERT INTO captions (clip_id, model, revision, prompt, text_raw, text, created_at)"
    " VALUES (:clip, :model, '', '', :raw, :clean, 5)"
)


def test_what_was_loaded_is_taken_back(line: Line) -> None:
    """The text is the newest of the other captions again, or that of the input."""
    with line.engine.begin() as connection:
        connection.execute(text('UPDATE videos SET extra = \'{"text": "given"}\' WHERE id = 1'))
        for raw, clean in (("old", "Old"), ("raw", "Raw")):
            connection.execute(text(INSERT), {"clip": 1, "model": "m", "raw": raw, "clean": clean})
        window = INSERT.replace("created_at)", "created_at, window_start_pts)")
        window = window.replace("5)", "6, 0)")
        connection.execute(text(window), {"clip": 1, "model": "m", "raw": "part", "clean": "Part"})
    load(line, [TableCaption(n, "", "mine") for n in (1, 2, 3)])
    ids = captions.having(line.engine, line.dataset.id, "", {}, "table")
    assert ids == [1, 2, 3]
    assert captions.drop(line.engine, [*ids, 99], "table") == 3
    assert line.rows("SELECT id, text FROM clips ORDER BY 1") == [
        (1, "Raw"),
        (2, "given"),
        (3, None),
    ]
    assert line.rows("SELECT model FROM captions") == [("m",)] * 3
    assert captions.drop(line.engine, ids, "table") == 0


def test_a_predicate_says_whose(line: Line) -> None:
    load(line, [TableCaption(n, "", "mine") for n in (1, 3)])
    assert captions.having(
        line.engine, line.dataset.id, "clip_index = 0 AND text = 'mine'", {}, "table"
    ) == [1, 3]
    assert captions.having(line.engine, line.dataset.id, "video_id = 2", {}, "table") == [3]
    assert captions.having(line.engine, line.dataset.id + 1, "", {}, "table") == []
    with pytest.raises(FilterError, match="did you mean clip_index"):
        captions.having(line.engine, line.dataset.id, "clip_indx = 0", {}, "table")


def test_many_rows_go_in_pieces(line: Line) -> None:
    rows = (TableCaption(1 + n % 3, "", f"text {n}") for n in range(1000))
    assert load(line, rows).unknown == 0
    assert [row[1] for row in line.rows(FOUND)] == ["text 999", "text 997", "text 998"]


def test_many_are_taken_back_in_pieces(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(captions, "CHUNK", 2)
    load(line, [TableCaption(n, "", "mine") for n in (1, 2, 3)])
    assert captions.drop(line.engine, [1, 2, 3], "table") == 3
