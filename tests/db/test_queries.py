"""The questions of the command line, on both engines."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event, text

from curate.db.engine import make_engine
from curate.db.reports import counts as queries
from curate.db.reports.progress import Cell, funnel, progress, totals
from tests.pipelines import Line, make_line, pipeline


@pytest.fixture
def line(database_url: str, home: Path) -> Iterator[Line]:
    """Stages score and inorder, with a filter behind each."""
    made = make_line(
        database_url, home, ["score", "good: score >= 1", "inorder", "new: duplicate = 0"]
    )
    yield made
    made.engine.dispose()


def put(
    line: Line,
    place: str,
    status: str,
    reason: str | None = None,
    count: int = 1,
    held: bool = False,
) -> list[int]:
    ids = line.put_clips(count, place, f"/v/{place}{status}{reason}.mp4", status)
    with line.engine.begin() as connection:
        values = {"r": reason, "l": time.time() + 60 if held else 0.0, "o": "me" if held else None}
        update = (
            "UPDATE clips SET reason = :r, error = :r, lease_until = :l, owner = :o WHERE id = :i"
        )
        for row_id in ids:
            connection.execute(text(update), {**values, "i": row_id})
    return ids


def test_tally_tells_rows_at_work_from_rows_that_wait(line: Line) -> None:
    put(line, "score", "active", count=3)
    put(line, "score", "active", "x", count=2, held=True)
    put(line, "done", "kept", count=4)
    put(line, "inorder", "dropped", "good", count=5)
    cells = {c for c in queries.tally(line.engine, line.dataset.id) if c.level == "clip"}
    assert cells == {
        Cell("clip", "score", "active", None, 5, 2),
        Cell("clip", "done", "kept", None, 4, 0),
        Cell("clip", "inorder", "dropped", "good", 5, 0),
    }


def test_another_dataset_does_not_count(line: Line) -> None:
    put(line, "score", "active")
    assert queries.tally(line.engine, line.dataset.id + 1) == []


def test_a_row_dropped_afterwards_counts_at_its_filter() -> None:
    cells = [
        Cell("clip", "done", "dropped", "good", 2, 0),
        Cell("clip", "done", "kept", None, 1, 0),
    ]
    passages = {p.step: p for p in funnel(cells, pipeline("score", "good: score >= 1", "inorder"))}
    assert (passages["good"].came_in, passages["good"].dropped, passages["good"].kept) == (3, 2, 1)
    assert passages["inorder"].came_in == 1


STEPS = pipeline("score", "good: score >= 1", "inorder", "new: duplicate = 0")
PLACES = st.sampled_from(["score", "inorder", "done"])


@st.composite
def cells_of_clips(draw: st.DrawFn) -> Cell:
    place = draw(PLACES)
    status = draw(
        st.sampled_from(["active", "failed", "dropped"] if place != "done" else ["kept", "dropped"])
    )
    reasons = {"score": ["own"], "inorder": ["own", "good"], "done": ["good", "new"]}
    reason = draw(st.sampled_from(reasons[place])) if status == "dropped" else None
    rows = draw(st.integers(0, 1000))
    return Cell(
        "clip", place, status, reason, rows, draw(st.integers(0, rows)) if status == "active" else 0
    )


@given(st.lists(cells_of_clips(), max_size=20))
@settings(max_examples=60)
def test_no_row_is_lost_or_counted_twice(cells: list[Cell]) -> None:
    passages = [p for p in funnel(cells, STEPS) if p.level == "clip"]
    assert passages[-1].kept == sum(c.rows for c in cells if c.status == "kept")
    for before, after in itertools.pairwise(passages):
        assert after.came_in == before.kept >= 0
    for stage in progress(funnel(cells, STEPS), {}):
        assert min(stage.waiting, stage.running, stage.done, stage.dropped, stage.failed) >= 0
    found = totals(cells)
    assert sum(c.rows for c in cells) == found.kept + found.dropped + found.failed + found.active


@given(st.lists(cells_of_clips(), min_size=1, max_size=20))
@settings(max_examples=40)
def test_shares_sum_to_100(cells: list[Cell]) -> None:
    rows = sum(c.rows for c in cells)
    assert sum(totals(cells).shares().values()) == pytest.approx(100 if rows else 0)


def test_eta_is_known_only_while_something_waits() -> None:
    cells = [
        Cell("clip", "score", "active", None, 30, 10),
        Cell("clip", "done", "kept", None, 1, 0),
    ]
    stages = {s.stage: s for s in progress(funnel(cells, STEPS), {"score": 3.0, "inorder": 1.0})}
    assert stages["score"].eta == pytest.approx(10)
    assert stages["inorder"].eta is None


def test_failures_are_grouped_with_an_example(line: Line) -> None:
    put(line, "score", "failed", "NotFinite", count=3)
    put(line, "inorder", "failed", "DiskFull")
    first, second = queries.failures(line.engine, line.dataset.id)
    assert (first.stage, first.error, first.rows, first.message) == (
        "score",
        "NotFinite",
        3,
        "NotFinite",
    )
    assert first.path == "/v/scorefailedNotFinite.mp4"
    assert second.rows == 1
    assert queries.failures(line.engine, line.dataset.id, "inorder") == [second]


def test_one_row_has_its_source(line: Line) -> None:
    (row_id,) = put(line, "score", "failed", "NotFinite")
    found = queries.row(line.engine, line.dataset.id, "clip", row_id)
    assert found is not None
    assert (found["source"], found["reason"]) == ("/v/scorefailedNotFinite.mp4", "NotFinite")
    assert "owner" not in found  # NULL
    assert queries.row(line.engine, line.dataset.id, "clip", row_id + 1) is None


def test_tables_are_described_with_their_rows(line: Line) -> None:
    put(line, "score", "active", count=2)
    found = {t.name: t for t in queries.described_tables(line.engine)}
    assert found["clips"].rows == 2
    assert {"path", "score"} <= found["clips"].columns.keys()


def test_all_is_counted_at_one_moment(line: Line) -> None:
    """A row that moves while status counts is counted once: nothing is taken for finished that is
    not.
    """
    line.put_clips(3, "score")
    moved = []

    def move(_c: object, _cursor: object, statement: str, *_: object) -> None:
        if "min(clips.stage)" in statement and not moved:
            moved.append(statement)
            with other.begin() as connection:
                connection.execute(text("UPDATE clips SET stage = 'a'"))

    other = make_engine(line.engine.url.render_as_string(hide_password=False))
    event.listen(line.engine, "after_cursor_execute", move)
    cells = queries.tally(line.engine, line.dataset.id)
    assert moved
    assert sum(c.rows for c in cells if c.level == "clip") == 3
