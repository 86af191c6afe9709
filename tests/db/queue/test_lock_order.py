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
from curate.db.permits import get_in_line, renew_permits
from curate.db.queue.chosen import lease_these
from curate.db.queue.leases import release_rows
from curate.db.save.batch import lock_dataset
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


def test_chosen_rows_are_not_leased_while_another_writes_many(
    postgres_url: str, home: object
) -> None:
    line = make_line(postgres_url, home, ["score", "second"])
    ids = line.put_clips(2, "second")
    lease = (line.engine, line.request("second"), ids)
    leasing = threading.Thread(target=lease_these, args=lease)
    with line.engine.connect() as redo:
        lock_dataset(redo, line.dataset.id, exclusive=True)
        leasing.start()
        try:
            wait_until(lambda: line.rows(WAITING) == [(1,)])
            lock = text("SELECT id FROM clips ORDER BY id FOR UPDATE NOWAIT")
            assert redo.execute(lock).scalars().all() == ids
        finally:
            redo.rollback()
            leasing.join()
    assert line.rows("SELECT DISTINCT owner FROM clips") == [("me",)]


@pytest.mark.parametrize("name", ["renew", "get in line"])
def test_permits_are_locked_in_the_order_of_their_ids(
    postgres_url: str, home: object, name: str
) -> None:
    line = make_line(postgres_url, home, [])
    first, second = (get_in_line(line.engine, "s", "p", 60) for _ in range(2))
    with line.engine.begin() as connection:  # both dead, the second one first in the table
        for permit in (second, first):
            end = text("UPDATE permits SET until = 1 WHERE id = :id")
            connection.execute(end, {"id": permit})
    writers: dict[str, Callable[[], Any]] = {
        "renew": lambda: renew_permits(line.engine, {first, second}, 60),
        "get in line": lambda: get_in_line(line.engine, "s", "p", 60),
    }
    writer = threading.Thread(target=writers[name])
    with line.engine.connect() as other:
        lock = text("SELECT id FROM permits WHERE id = :id FOR UPDATE NOWAIT")
        other.execute(lock, {"id": first})
        writer.start()
        try:
            wait_until(lambda: line.rows(WAITING) == [(1,)])
            assert other.execute(lock, {"id": second}).all() == [(second,)]
        finally:
            other.rollback()
            writer.join()
