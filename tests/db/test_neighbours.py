"""A claim brings rows of the clips beside those that it takes, in their video and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from tests.pipelines import Line, make_line
from tests.tasks.captioned import INSERT_CAPTION


@pytest.fixture
def line(database_url: str, home: Path) -> Line:
    return make_line(database_url, home, ["score"])


def test_a_claim_brings_what_is_written_beside_its_clips(line: Line) -> None:
    ids = line.put_clips(5, "score")
    (other,) = line.put_clips(1, "score", "/v/y.mp4")
    with line.engine.begin() as connection:
        for clip in (*ids[:4], other):
            told = {"clip": clip, "model": "m", "raw": f"{clip} runs"}
            connection.execute(text(INSERT_CAPTION), told)
        away = "UPDATE clips SET stage = 'done', status = 'dropped' WHERE id IN (:a, :b)"
        connection.execute(text(away), {"a": ids[1], "b": ids[2]})
    held = line.held("score", reads=("captions",), neighbours=2)
    assert held.ids == [ids[0], ids[3], ids[4], other]  # those beside them are not taken
    assert held.neighbours == {
        ids[0]: {1: ids[1], 2: ids[2]},
        ids[3]: {-2: ids[1], -1: ids[2], 1: ids[4]},
        ids[4]: {-2: ids[2], -1: ids[3]},
        other: {},
    }
    assert {
        clip: [row["text_raw"] for row in rows] for clip, rows in held.tables["captions"].items()
    } == {clip: [f"{clip} runs"] for clip in (*ids[:4], other)}


def test_a_stage_that_wants_none_gets_none(line: Line) -> None:
    line.put_clips(3, "score")
    assert line.held("score", reads=("captions",)).neighbours == {}
