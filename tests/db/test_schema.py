"""The tables: which table a level has, and conditions that an index knows."""

from __future__ import annotations

import pytest
from sqlalchemy.dialects import sqlite

from curate.db.schema import SIDE_TABLES, clips, rows_of, stands, videos
from curate.tasks.split import Split


def test_each_level_has_a_table() -> None:
    assert rows_of("video") is videos
    assert rows_of("clip") is clips


@pytest.mark.parametrize(
    ("statuses", "condition"),
    [
        (["active"], "clips.status = 'active'"),
        (["dropped", "failed"], "clips.status IN ('dropped', 'failed')"),
    ],
)
def test_a_status_is_asked_for_in_literals_as_the_partial_indexes_have_it(
    statuses: list[str], condition: str
) -> None:
    compiled = stands(clips, *statuses).compile(dialect=sqlite.dialect())  # type: ignore[no-untyped-call]
    assert str(compiled) == condition
    wheres = [str(index.dialect_options["sqlite"]["where"]) for index in clips.indexes]
    indexed = condition.replace("clips.", "") in wheres
    assert indexed == (len(statuses) > 1), "clips that are active are found by the claim index"


def test_side_tables_hang_on_clips_and_go_with_them() -> None:
    for table in SIDE_TABLES.values():
        (key,) = table.c.clip_id.foreign_keys
        assert (key.column.table.name, key.ondelete) == ("clips", "CASCADE")


def test_tables_have_the_columns_that_splitting_writes() -> None:
    """Those of scorers are added when a dataset is opened; these are inserted with the clips."""
    assert Split.columns.keys() <= set(clips.c.keys())
    assert Split.own_columns.keys() <= set(videos.c.keys()) | {"split_form"}
