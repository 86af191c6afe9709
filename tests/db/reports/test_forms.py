"""Rows that a stage measured before its measures came to mean something else."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from curate.db import datasets
from curate.db.redo import redo
from curate.db.reports.forms import EarlierForm, earlier_forms
from curate.tasks.stage import Column
from tests.pipelines import Line, Score, Split, make_line, pipeline


@pytest.fixture
def line(database_url: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> Line:
    """Four clips behind `score`, of which two were scored before its form was raised to 2."""
    columns = {**Score.columns, "score_form": Column("int", "form")}
    monkeypatch.setattr(Score, "columns", columns)
    made = make_line(database_url, home, ["score", "second"])
    monkeypatch.setattr(Score, "form", 2)
    ids = made.put_clips(4, "second")
    made.put_clips(3, "score", "/v/y.mp4")  # not scored yet
    with made.engine.begin() as connection:
        new = text("UPDATE clips SET score_form = 2 WHERE id IN (:a, :b)")
        connection.execute(new, {"a": ids[0], "b": ids[1]})
    return made


def found(line: Line) -> list[EarlierForm]:
    newest = datasets.pick(line.engine, line.dataset.name)
    return earlier_forms(line.engine, newest, line.pipeline)


def test_only_rows_scored_in_the_earlier_form_count(line: Line) -> None:
    assert found(line) == [EarlierForm("score", "clip", 2)]


def test_a_dataset_made_by_the_form_of_today_has_none(line: Line) -> None:
    new = datasets.create(line.engine, "new", "/w", line.pipeline)
    assert new.forms == {"score": 2}
    assert datasets.pick(line.engine, "new").forms == {"score": 2}
    assert earlier_forms(line.engine, new, line.pipeline) == []


def test_a_redo_of_all_clips_brings_the_dataset_up(line: Line) -> None:
    redo(line.engine, line.dataset, line.pipeline, "score")
    assert datasets.pick(line.engine, "set").forms == {"score": 2}
    assert found(line) == []


def test_a_redo_of_some_clips_leaves_the_others_counted(line: Line) -> None:
    redo(line.engine, line.dataset, line.pipeline, "score", "clip_index = 3")
    assert datasets.pick(line.engine, "set").forms == {}
    assert found(line) == [EarlierForm("score", "clip", 1)]


def test_videos_count_where_a_stage_makes_clips(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Split, "form", 2)
    assert EarlierForm("split", "video", 2) in found(line)
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE videos SET split_form = 2"))
    assert [form.stage for form in found(line)] == ["score"]


def test_a_stage_of_the_first_form_asks_nothing(database_url: str, home: Path) -> None:
    made = make_line(database_url, home, ["score"])
    assert earlier_forms(made.engine, made.dataset, pipeline("score")) == []
