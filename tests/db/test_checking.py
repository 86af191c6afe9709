"""Which clips have files, and which videos sources, a few at a time."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from curate.configs.pipeline import Pipeline, parse
from curate.configs.schema import Column
from curate.db import checking
from curate.db.checking import count_cut, cut_clips, file_writer, not_through, sources, still_so
from curate.db.datasets import add_columns
from curate.db.redo import give_up_files, put_back
from curate.tasks.stage import Clip, Outcome, Stage, StageOptions
from tests.pipelines import CATALOG, Line, make_line


class Writes(Stage[Clip, StageOptions]):
    """Writes no file, but says so."""

    name = "writes"
    level = "clip"
    columns = {"path": Column("text", "path"), "file_size": Column("int", "bytes")}

    def run(self, row: Clip) -> Outcome:
        return Outcome({"path": "/c", "file_size": 1})


@pytest.fixture
def writing_pipeline() -> Pipeline:
    steps = [{"stage": "probe"}, {"stage": "split"}, {"stage": "score"}]
    steps += [{"filter": "good", "where": "score >= 2"}, {"stage": "writes"}]
    return parse(steps, CATALOG | {"writes": Writes}, "test")


@pytest.fixture
def line(database_url: str, home: object, writing_pipeline: Pipeline) -> Line:
    """Five clips that are through all stages, each with a file."""
    line = make_line(database_url, home, ["score"])  # type: ignore[arg-type]
    add_columns(line.engine, writing_pipeline.columns())
    line.put_clips(5, "done")
    with line.engine.begin() as connection:
        done = "UPDATE clips SET status = 'kept', score = 5, file_size = 1, path = '/c/' || id"
        connection.execute(text(done))
    return line


def test_clips_come_a_few_at_a_time_and_no_row_twice(
    line: Line, writing_pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "AT_ONCE", 2)
    found = list(cut_clips(line.engine, line.dataset, writing_pipeline))
    assert [len(chunk) for chunk in found] == [2, 2, 1]
    assert len({clip.id for chunk in found for clip in chunk}) == 5
    assert count_cut(line.engine, line.dataset) == 5
    ids = [one.id for chunk in sources(line.engine, line.dataset) for one in chunk]
    assert ids == [row[0] for row in line.rows("SELECT id FROM videos ORDER BY id")]


def test_clips_without_a_file_are_left_out(line: Line, writing_pipeline: Pipeline) -> None:
    ids = [row[0] for row in line.rows("SELECT id FROM clips ORDER BY id")]
    with line.engine.begin() as connection:
        for number, change in enumerate(
            ("status = 'dropped'", "path = NULL", "stage = 'writes', status = 'active'")
        ):
            connection.execute(text(f"UPDATE clips SET {change} WHERE id = {ids[number]}"))
    (found,) = cut_clips(line.engine, line.dataset, writing_pipeline)
    assert [clip.id for clip in found] == ids[3:]
    assert not_through(line.engine, line.dataset, "writes") == 1


def test_a_clip_that_was_cut_again_meanwhile_is_no_longer_so(
    line: Line, writing_pipeline: Pipeline
) -> None:
    (found,) = cut_clips(line.engine, line.dataset, writing_pipeline)
    with line.engine.begin() as connection:
        connection.execute(text(f"UPDATE clips SET file_size = 2 WHERE id = {found[0].id}"))
    assert still_so(line.engine, writing_pipeline, found) == found[1:]
    assert still_so(line.engine, writing_pipeline, []) == []


def test_the_stage_that_writes_files(line: Line, writing_pipeline: Pipeline) -> None:
    writer = file_writer(writing_pipeline)
    assert writer is not None and writer.name == "writes"
    assert file_writer(line.pipeline) is None
    assert list(cut_clips(line.engine, line.dataset, line.pipeline)) == []


def test_only_the_clips_that_are_named_are_put_back(line: Line, writing_pipeline: Pipeline) -> None:
    (found,) = cut_clips(line.engine, line.dataset, writing_pipeline)
    ids = [found[0].id, found[3].id]
    assert put_back(line.engine, line.dataset, writing_pipeline, "writes", ids).back == 2
    at = "SELECT id, status, return_to FROM clips WHERE stage = 'writes' ORDER BY id"
    assert line.rows(at) == [(i, "active", "done") for i in ids]


def test_files_of_clips_that_a_filter_before_drops_are_given_up(
    line: Line, writing_pipeline: Pipeline
) -> None:
    (found,) = cut_clips(line.engine, line.dataset, writing_pipeline)
    ids = [clip.id for clip in found]
    dropped = "UPDATE clips SET status = 'dropped', reason = :reason, score = :score WHERE id = :id"
    with line.engine.begin() as connection:
        connection.execute(text(dropped), {"reason": "good", "score": 1, "id": ids[0]})
        # by a filter behind the stage
        connection.execute(text(dropped), {"reason": "late", "score": 5, "id": ids[1]})
    many = [*ids, *range(10**6, 10**6 + 70_000)]  # Postgres takes 65,535 values one by one
    given_up = give_up_files(line.engine, line.dataset, writing_pipeline, "writes", many)
    assert given_up == [ids[0]]
    assert line.rows("SELECT id, stage, status, reason FROM clips WHERE path IS NULL") == [
        (ids[0], "writes", "dropped", "good")
    ]
    assert line.rows("SELECT stage FROM clips WHERE id = :id", id=ids[1]) == [("done",)]
