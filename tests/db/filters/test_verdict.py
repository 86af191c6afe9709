"""What filters make of a row before a stage: the first that it does not pass, and its status."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select, text

from curate.configs.pipeline import DONE, parse
from curate.db.filters.verdict import status_columns, verdict_of
from curate.db.schema import clips
from tests.pipelines import CATALOG, Line, make_line


@pytest.fixture
def line(database_url: str, home: Path) -> Line:
    """Three clips with the scores 1, 2 and NULL; two filters."""
    line = make_line(database_url, home, ["score", "some: score >= 1", "second", "good: score > 1"])
    line.put_clips(3, "score")
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE clips SET score = clip_index + 1 WHERE clip_index < 2"))
    return line


def verdicts(line: Line, stage: str) -> list[tuple[str, str | None]]:
    verdict = verdict_of(line.pipeline, stage, "clip", line.engine.dialect.name)
    columns = status_columns(verdict, stage)
    query = select(columns["status"], columns["reason"]).select_from(clips)
    with line.engine.connect() as connection:
        return [(row[0], row[1]) for row in connection.execute(query.order_by(clips.c.id))]


def test_only_the_filters_before_a_stage_decide_and_null_does_not_pass(line: Line) -> None:
    assert verdicts(line, "score") == [("active", None)] * 3
    assert verdicts(line, "second") == [("active", None), ("active", None), ("dropped", "some")]


def test_the_reason_is_the_first_filter_and_what_passes_all_is_kept(line: Line) -> None:
    assert verdicts(line, DONE) == [("dropped", "good"), ("kept", None), ("dropped", "some")]


def test_a_clip_falls_with_its_video_where_filters_decide_over_videos(line: Line) -> None:
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE videos SET status = 'dropped', reason = 'wide'"))
    wide = {"filter": "wide", "where": "width > 100"}
    line.pipeline = parse([{"stage": "probe"}, wide, {"stage": "split"}], CATALOG, "test")
    assert verdicts(line, DONE) == [("dropped", "wide")] * 3
    line.pipeline = parse([{"stage": "probe"}, {"stage": "split"}], CATALOG, "test")
    assert verdicts(line, DONE) == [("kept", None)] * 3


def test_a_pick_goes_before_the_clips_filters_and_those_of_its_video(line: Line) -> None:
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE videos SET status = 'dropped', reason = 'wide'"))
        connection.execute(text("UPDATE clips SET picked = 'drop' WHERE clip_index = 1"))
        connection.execute(text("UPDATE clips SET picked = 'keep' WHERE clip_index = 2"))
    wide = {"filter": "wide", "where": "width > 100"}
    line.pipeline = parse([{"stage": "probe"}, wide, {"stage": "split"}], CATALOG, "test")
    assert verdicts(line, DONE) == [("dropped", "wide"), ("dropped", "picked"), ("kept", None)]
    line.pipeline = parse([{"stage": "probe"}, {"stage": "split"}], CATALOG, "test")
    assert verdicts(line, DONE) == [("kept", None), ("dropped", "picked"), ("kept", None)]
