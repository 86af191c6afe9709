"""Who writes rows at work locks them in the order of their ids on Postgres, as renewals and saves
do: none meet.

One lock is held on the first row, as by a renewal on its way. What comes then has to wait there,
holding no later row.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text

from curate.db import datasets, redo
from curate.db.engine import writing
from curate.db.queue.leases import release_rows
from tests.pipelines import Line, make_line, wait_until


def release_batch(line: Line) -> None:
    with writing(line.engine) as connection:
        release_rows(connection, line.dataset.id, ["me"], line.pipeline.by_name["second"])


WRITERS: dict[str, Callable[[Line], Any]] = {
    "cancel": lambda line: datasets.cancel(line.engine, line.dataset),
    "resume": lambda line: datasets.resume(line.engine, line.dataset),
    "redo": lambda line: redo.redo(line.engine, line.dataset, line.pipeline, "score"),
    "expire": lambda line: line.expire("me"),
    "release": lambda line: line.release("me"),
    "release of one batch": release_batch,
}
WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND "
    "wait_event_type = 'Lock'"
)


def scrambled(line: Line) -> tuple[int, int]:
    """Two clips at work, of which the table and every index have the second one first; their ids,
    in order.
    """
    first, second = line.put_clips(2, "second")
    assert line.claim("second")
    with line.engine.begin() as connection:
        move = text(
            "UPDATE clips SET attempts = 1, clip_index = :i, lease_until = lease_until + :i "
            "WHERE id = :id"
        )
        for row, place in ((second, 10), (first, 20)):
            connection.execute(move, {"id": row, "i": place})
    return first, second


@pytest.mark.parametrize("name", WRITERS)
def test_rows_at_work_are_locked_in_the_order_of_their_ids(
    postgres_url: str, home: object, name: str
) -> None:
    line = make_line(postgres_url, home, ["score", "second"])
    first, second = scrambled(line)
    writer = threading.Thread(target=WRITERS[name], args=(line,))
    with line.engine.connect() as renewal:
        lock = text("SELECT id FROM clips WHERE id = :id FOR UPDATE NOWAIT")
        renewal.execute(lock, {"id": first})
        writer.start()
        try:
            wait_until(lambda: line.rows(WAITING) == [(1,)])
            assert renewal.execute(lock, {"id": second}).all() == [(second,)]
        finally:
            renewal.rollback()
            writer.join()
