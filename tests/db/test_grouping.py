"""Clips by the value of a column, on both engines."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from curate.db import grouping
from curate.db.datasets import add_columns
from curate.db.grouping import (
    Group,
    count_groups,
    embeddings_in_order,
    some_stand_at,
    values_of_groups,
)
from curate.tasks.concept import Concept
from tests.embedded import embed
from tests.pipelines import Line, make_line

COLUMNS = ("concept", "concept_fit", "concept_distance")


@pytest.fixture
def line(database_url: str, home: Path) -> Line:
    """Clips of concepts 1, 0, 1, 1, the last of an earlier fit; a clip without one."""
    line = make_line(database_url, home, ["embed", "score"])
    add_columns(line.engine, Concept.columns)
    ids = line.put_clips(5, "done", status="kept")
    with line.engine.begin() as connection:
        for clip, concept, fit in zip(ids, (1, 0, 1, 1), (2, 2, 2, 1), strict=False):
            set_ = "concept = :c, concept_fit = :f, concept_distance = 0.5, text = 'dog ' || :t"
            values = {"c": concept, "f": fit, "i": clip, "t": str(clip)}
            connection.execute(text(f"UPDATE clips SET {set_} WHERE id = :i"), values)
    embed(line, {ids[0]: [0, 9], ids[2]: [1]})
    return line


def test_groups_are_counted_by_value_and_fit(line: Line) -> None:
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE clips SET status = 'dropped' WHERE clip_index = 0"))
    assert count_groups(line.engine, line.dataset.id, *COLUMNS) == [
        Group(0, 2, 1, 1, 0.5), Group(1, 1, 1, 1, 0.5), Group(1, 2, 2, 1, 0.5),
    ]  # fmt: skip


def test_clips_tell_their_value_and_other_columns(line: Line) -> None:
    rows = values_of_groups(line.engine, line.dataset.id, "concept", ["clip_index"])
    assert sorted(map(tuple, rows)) == [(0, 1), (1, 0), (1, 2), (1, 3)]


@pytest.mark.parametrize("chunk", [2, 4096])
def test_embeddings_come_in_the_order_of_their_clips(
    line: Line, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grouping, "CHUNK", chunk)
    parts = list(embeddings_in_order(line.engine, line.dataset.id))
    assert len(parts) == (3 if chunk == 2 else 1)
    found = [(clip, [row["frame"] for row in rows]) for part in parts for clip, rows in part]
    ids = [row[0] for row in line.rows("SELECT id FROM clips ORDER BY id")]
    assert found == list(zip(ids, [[0, 1], [], [0], [], []], strict=True))


def test_dropped_clips_take_part_only_as_duplicates(line: Line) -> None:
    with line.engine.begin() as connection:
        dropped = (
            "UPDATE clips SET status = 'dropped', semantic_duplicate = {} WHERE clip_index = {}"
        )
        connection.execute(text(dropped.format("1", 2)))
        connection.execute(text(dropped.format("0", 0)))
    (part,) = embeddings_in_order(line.engine, line.dataset.id)
    assert len(part) == 4


def test_where_clips_stand_is_told(line: Line) -> None:
    assert some_stand_at(line.engine, line.dataset.id, ["score", "done"])
    assert not some_stand_at(line.engine, line.dataset.id, ["score"])
