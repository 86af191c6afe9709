"""How many rows are where, on both engines."""

from __future__ import annotations

import time

from sqlalchemy import event, text

from curate.db.engine import make_engine, reading
from curate.db.reports.counts import (
    RowCount,
    ValueCount,
    count_rows,
    count_unfinished,
    count_values,
    describe_tables,
)
from tests.db.reports.conftest import put
from tests.pipelines import Line


def counts(line: Line, dataset_id: int | None = None) -> list[RowCount]:
    with reading(line.engine, "REPEATABLE READ") as connection:
        return count_rows(connection, dataset_id or line.dataset.id)


def test_leased_rows_are_told_from_rows_that_wait(line: Line) -> None:
    put(line, "score", "active", count=3)
    put(line, "score", "active", "x", count=2, held=True)
    put(line, "done", "kept", count=4)
    put(line, "inorder", "dropped", "good", count=5)
    found = {c for c in counts(line) if c.level == "clip"}
    assert found == {
        RowCount("clip", "score", "active", None, 5, 2),
        RowCount("clip", "done", "kept", None, 4, 0),
        RowCount("clip", "inorder", "dropped", "good", 5, 0),
    }


def test_rows_whose_holder_died_have_expired(line: Line) -> None:
    leased, dead, _ = put(line, "score", "active", count=3)
    with line.engine.begin() as connection:
        lease = text("UPDATE clips SET lease_until = :until WHERE id = :id")
        connection.execute(lease, {"id": leased, "until": time.time() + 60})
        connection.execute(lease, {"id": dead, "until": time.time() - 60})
    (found,) = (c for c in counts(line) if c.level == "clip")
    assert (found.rows, found.leased, found.expired) == (3, 1, 1)


def test_another_dataset_does_not_count(line: Line) -> None:
    put(line, "score", "active")
    assert counts(line, line.dataset.id + 1) == []


def test_tables_are_described_with_their_rows(line: Line) -> None:
    put(line, "score", "active", count=2)
    found = {t.name: t for t in describe_tables(line.engine)}
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
    found = counts(line)
    assert moved
    assert sum(c.rows for c in found if c.level == "clip") == 3


def test_unfinished_rows_are_the_active_ones_wherever_they_stand(line: Line) -> None:
    put(line, "score", "active", count=2)
    put(line, "inorder", "active", "x", held=True)
    put(line, "inorder", "failed", "NotFinite")
    put(line, "done", "kept")
    assert count_unfinished(line.engine, line.dataset.id) == 3
    assert count_unfinished(line.engine, line.dataset.id + 1) == 0


def test_values_are_counted_together_those_of_kept_clips_apart(line: Line) -> None:
    put(line, "done", "kept", count=2)
    put(line, "inorder", "dropped", "good", count=3)
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE clips SET text = 'a' WHERE status = 'kept' OR id % 2 = 0"))
    found = {one.values: (one.rows, one.kept) for one in count(line, "text", "no_such_column")}
    of_dropped = line.rows("SELECT count(*) FROM clips WHERE status = 'dropped' AND text = 'a'")
    assert found == {
        ("a", None): (2 + of_dropped[0][0], 2),
        (None, None): (3 - of_dropped[0][0], 0),
    }
    assert count_values(line.engine, line.dataset.id + 1, ["text"]) == []


def count(line: Line, *columns: str) -> list[ValueCount]:
    return count_values(line.engine, line.dataset.id, columns)
