"""Clips of groups, such as concepts, in an export: balanced, weighed, held out; on both engines."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import text

from curate.db.balance import Balance
from curate.db.datasets import add_columns
from curate.db.export import Exported, plan, rows_of
from curate.db.selection import Selection
from curate.tasks.concept import Concept
from curate.tasks.option_match import OptionMatch
from tests.pipelines import CATALOG, Line, make_line

SIZES = {0: 64, 1: 16, 2: 4, 3: 1}


@pytest.fixture
def line(database_url: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> Line:
    """Kept clips of concepts of SIZES, and two without one."""
    for stage in (Concept, OptionMatch):
        monkeypatch.setitem(CATALOG, stage.name, stage)
    steps = ["embed", "concept", {"stage": "option_match", "texts": ["a"]}]
    line = make_line(database_url, home, steps)  # type: ignore[arg-type]
    add_columns(line.engine, line.pipeline.columns())
    ids = line.put_clips(sum(SIZES.values()) + 2, "done", status="kept")
    concepts = [value for value, number in SIZES.items() for _ in range(number)]
    rows = [{"c": c, "t": f"it's {c}", "i": i} for c, i in zip(concepts, ids, strict=False)]
    with line.engine.begin() as connection:
        changed = text('UPDATE clips SET concept = :c, "option" = :t WHERE id = :i')
        connection.execute(changed, rows)
    return line


def written(line: Line, **selection: object) -> list[dict[str, object]]:
    """The rows of an export."""
    columns = ("clip_id", "concept", "option")
    planned = plan(line.engine, 1, line.pipeline, Selection(columns=columns, **selection))  # type: ignore[arg-type]
    with rows_of(line.engine, planned, str, Exported(planned.names)) as rows:
        return [dict(zip(planned.names, row.values, strict=True)) for row in rows]


@pytest.mark.parametrize("column", ["concept", "option"])
def test_a_sample_has_the_quotas_and_is_the_same_each_time(line: Line, column: str) -> None:
    rows = written(line, balance=column, alpha=0.5, sample=15)
    assert Counter(row["concept"] for row in rows) == {0: 8, 1: 4, 2: 2, 3: 1}
    assert rows == written(line, balance=column, alpha=0.5, sample=15)
    assert rows != written(line, balance=column, alpha=0.5, sample=15, seed=1)


def test_without_a_sample_each_clip_has_a_weight(line: Line) -> None:
    rows = written(line, balance="concept", alpha=0.5)
    assert len(rows) == sum(SIZES.values()), "a clip of no group has none"
    weights = Balance("concept", 0.5, SIZES).weights
    assert all(row["balance_weight"] == weights[row["concept"]] for row in rows)  # type: ignore[index]


def test_a_clip_of_a_group_that_came_after_counting_has_no_weight(line: Line) -> None:
    planned = plan(line.engine, 1, line.pipeline, Selection(balance="concept", alpha=0.5))
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE clips SET concept = 99 WHERE concept = 3"))
    with rows_of(line.engine, planned, str, Exported(planned.names)) as rows:
        found = [row.values[planned.names.index("balance_weight")] for row in rows]
    assert found.count(0.0) == 1


def test_groups_that_are_held_out_are_one_side(line: Line) -> None:
    held = {"hold_out": "concept", "held": (1, 3), "split": True}
    rows = written(line, **held)
    assert {(row["concept"], row["side"]) for row in rows} == {
        (0, "train"), (1, "val"), (2, "train"), (3, "val"),
    }  # fmt: skip
    assert len(written(line, **held, side="val")) == 17
    assert len(written(line, **held, side="train")) == 68
    assert len(written(line, **held, side="train", limit=70)) < 70
