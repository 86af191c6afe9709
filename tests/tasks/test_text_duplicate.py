"""The stage text_duplicate: the first clip of a text stays, later ones name it."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from curate.db import datasets
from tests.pipelines import Found, Line, make_line
from tests.tasks.captioned import put_clip
from tests.worker.conftest import run_all

pytestmark = pytest.mark.usefixtures("text_stages")


def with_texts(line: Line, *texts: str | None) -> list[int]:
    """A clip for each text, each of a video of its own, that waits for text_duplicate."""
    ids = [put_clip(line, stage="text_duplicate") for _ in texts]
    with line.engine.begin() as connection:
        for clip, words in zip(ids, texts, strict=True):
            connection.execute(
                text("UPDATE clips SET text = :t WHERE id = :i"), {"t": words, "i": clip}
            )
    return ids


TEXT_DUPLICATES = (
    "SELECT text_duplicate, text_duplicate_of, text_seq, status FROM clips ORDER BY id"
)
ONE_TEXT = ["text_duplicate", "new_text: text_duplicate = 0"]


@pytest.mark.parametrize("batch", [1, 2, 100])
def test_a_text_that_an_earlier_clip_has_is_a_duplicate(
    database_url: str, home: Path, batch: int
) -> None:
    line = make_line(
        database_url, home, [{"stage": "text_duplicate", "batch_size": batch}, ONE_TEXT[1]]
    )
    ids = with_texts(line, "a dog", "A dog", "a dog", None, None, "a dog")
    run_all(line, "text_duplicate")
    assert line.rows(TEXT_DUPLICATES) == [
        (0, None, 1, "kept"),
        (0, None, 2, "kept"),
        (1, ids[0], 3, "dropped"),
        (0, None, 4, "kept"),
        (0, None, 5, "kept"),
        (1, ids[0], 6, "dropped"),
    ]


def test_texts_can_be_compared_by_their_words(sqlite_url: str, home: Path) -> None:
    line = make_line(sqlite_url, home, [{"stage": "text_duplicate", "compare": "words"}])
    with_texts(line, "A dog, running.", "a DOG running", "!?", "...", "a dog ran")
    run_all(line, "text_duplicate")
    assert [row[0] for row in line.rows(TEXT_DUPLICATES)] == [0, 1, 0, 0, 0]


def test_when_the_first_of_equal_texts_is_gone_the_next_one_takes_its_place(
    database_url: str, home: Path
) -> None:
    line = make_line(database_url, home, ONE_TEXT)
    ids = with_texts(line, "a dog", "a dog", "a dog")
    run_all(line, "text_duplicate")
    assert [row[3] for row in line.rows(TEXT_DUPLICATES)] == ["kept", "dropped", "dropped"]
    datasets.enqueue(line.engine, line.dataset, [Found("/v/0.mp4", "changed")], line.pipeline)
    with line.engine.begin() as connection:  # the video that is split again gives nothing
        connection.execute(
            text("UPDATE videos SET stage = 'done', status = 'dropped' WHERE relpath = '0.mp4'")
        )
    assert [row[3] for row in line.rows(TEXT_DUPLICATES)] == ["active", "active"]
    run_all(line, "text_duplicate")
    assert [row[:2] for row in line.rows(TEXT_DUPLICATES)] == [(0, None), (1, ids[1])]
