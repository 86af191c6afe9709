"""Which rows are judged once more, by what, and which of them are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text, true

from curate.configs.pipeline import DONE, parse
from curate.db.engine import writing
from curate.db.filters.judge import Judge
from curate.db.schema import clips
from tests.pipelines import CATALOG, Line, make_line

WIDE = {"filter": "wide", "where": "width > 100"}


@pytest.fixture
def line(database_url: str, home: Path) -> Line:
    """Six clips of one video that are through, with the scores 0 to 5; 0 and 1 do not pass."""
    line = make_line(database_url, home, ["score", "good: score >= 2", "second"])
    line.put_clips(6, DONE, status="kept")
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE clips SET score = clip_index"))
        connection.execute(text("UPDATE videos SET width = 64"))
    return line


def apply(line: Line, judge: Judge) -> tuple[int, int]:
    with writing(line.engine) as connection:
        return judge.apply(connection, "clip", true())


def ends(line: Line) -> list[tuple[Any, ...]]:
    return line.rows("SELECT status, reason FROM clips ORDER BY id")


def test_rows_that_a_batch_holds_that_failed_or_that_a_stage_dropped_are_left_alone(
    line: Line,
) -> None:
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE clips SET owner = 'me' WHERE clip_index = 0"))
        connection.execute(text("UPDATE clips SET status = 'failed', reason = 'X' WHERE id = 3"))
        connection.execute(text("UPDATE clips SET status = 'dropped', reason = 'y' WHERE id = 4"))
    assert apply(line, Judge.of(line.dataset, line.pipeline)) == (0, 1)
    kept = ("kept", None)
    dropped = [("dropped", "good"), ("failed", "X"), ("dropped", "y")]
    assert ends(line) == [kept, *dropped, kept, kept]


def test_only_filters_before_the_stage_of_a_row_decide(line: Line) -> None:
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE clips SET stage = 'score', status = 'active'"))
    assert apply(line, Judge.of(line.dataset, line.pipeline)) == (0, 0)


def test_the_verdict_on_a_clip_is_the_same_before_and_after_that_on_its_video_is_written(
    line: Line,
) -> None:
    raw = [{"stage": "probe"}, WIDE, *line.pipeline.frozen()[1:]]
    judge = Judge.of(line.dataset, parse(raw, CATALOG, "test"))
    query = select(judge.verdict("clip", line.engine.dialect.name)).select_from(clips)
    with line.engine.connect() as connection:
        before = connection.execute(query).scalars().all()
    assert before == ["wide"] * 6
    with writing(line.engine) as connection:
        assert judge.apply(connection, "video", true()) == (0, 1)
    with line.engine.connect() as connection:
        assert connection.execute(query).scalars().all() == before


def test_clips_stay_dropped_with_a_video_that_is_not_judged(line: Line) -> None:
    raw = [{"stage": "probe"}, WIDE | {"where": "width > 0"}, *line.pipeline.frozen()[1:]]
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE videos SET status = 'dropped', reason = 'by_stage'"))
    assert apply(line, Judge.of(line.dataset, parse(raw, CATALOG, "test"))) == (0, 6)


def test_the_rows_that_change_can_be_looked_at_first(line: Line) -> None:
    judge = Judge.of(line.dataset, line.pipeline)
    changing = judge.changing("clip", line.engine.dialect.name, clips.c.clip_index > 0)
    with line.engine.connect() as connection:
        assert connection.execute(changing).scalars().all() == [2]
    apply(line, judge)
    with line.engine.connect() as connection:
        assert connection.execute(changing).scalars().all() == []
