"""Engines: which URLs are taken, and what each kind of connection does on both engines."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import event, text

from curate.configs.errors import ServiceError
from curate.db.engine import Isolation, is_sqlite, make_engine, now, reading, writing

ISOLATIONS: tuple[Isolation | None, ...] = (None, "AUTOCOMMIT", "REPEATABLE READ")


@pytest.mark.parametrize("url", ["mysql://u:hush@host/x", "nonsense", "sqlite+nothing:///x.db"])
def test_another_database_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ServiceError) as caught:
        make_engine(url)
    assert "hush" not in str(caught.value)


def test_a_write_is_committed_at_the_end_and_undone_by_an_exception(database_url: str) -> None:
    engine = make_engine(database_url)
    with writing(engine) as connection:
        connection.execute(text("CREATE TABLE t (a INTEGER)"))
        connection.execute(text("INSERT INTO t VALUES (1)"))
    with pytest.raises(ServiceError), writing(engine) as connection:
        connection.execute(text("INSERT INTO t VALUES (2)"))
        connection.execute(text("SELECT nothing FROM t"))
    for isolation in ISOLATIONS:
        with reading(engine, isolation) as connection:
            assert connection.execute(text("SELECT a FROM t")).scalars().all() == [1]


def test_the_clock_goes_on(database_url: str) -> None:
    with reading(make_engine(database_url)) as connection:
        assert 0 < now(connection) <= now(connection)


def test_a_write_on_sqlite_takes_the_lock_at_once_and_a_read_takes_none(sqlite_url: str) -> None:
    engine = make_engine(sqlite_url)
    begun: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if statement.startswith("BEGIN"):
            begun.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    with writing(engine) as connection:
        connection.execute(text("CREATE TABLE t (x INTEGER)"))
    for isolation in ISOLATIONS:
        with reading(engine, isolation) as connection:
            assert connection.execute(text("SELECT count(*) FROM t")).scalar_one() == 0
    assert begun == ["BEGIN IMMEDIATE", "BEGIN", "BEGIN", "BEGIN"]
    with engine.connect() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar_one() == "wal"


def test_two_writers_on_sqlite_wait_for_each_other(sqlite_url: str) -> None:
    engine = make_engine(sqlite_url)
    with writing(engine) as connection:
        connection.execute(text("CREATE TABLE t (x INTEGER)"))

    def add() -> None:
        for _ in range(20):
            with writing(engine) as connection:
                count = connection.execute(text("SELECT count(*) FROM t")).scalar_one()
                connection.execute(text("INSERT INTO t VALUES (:x)"), {"x": count})

    threads = [threading.Thread(target=add) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with reading(engine) as connection:
        values = connection.execute(text("SELECT x FROM t ORDER BY x")).scalars().all()
    assert values == list(range(40)), "a writer that had read before the other wrote"


def test_an_error_of_the_driver_names_the_database_without_its_password(database_url: str) -> None:
    engine = make_engine(database_url)
    with pytest.raises(ServiceError, match="nothere") as raised, reading(engine) as connection:
        connection.execute(text("SELECT * FROM nothere"))
    assert "database" in str(raised.value)


def test_a_forked_process_opens_connections_of_its_own(database_url: str) -> None:
    engine = make_engine(database_url)
    with reading(engine) as connection:
        connection.execute(text("SELECT 1"))
    assert engine.pool.checkedin() == 1  # type: ignore[attr-defined]
    child = os.fork()
    if child == 0:
        os._exit(engine.pool.checkedin())  # type: ignore[attr-defined]
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    with reading(engine) as connection:
        assert connection.execute(text("SELECT 1")).scalar_one() == 1


def test_the_clock_is_one_for_all_and_few_rows_are_read_by_index(
    database_url: str, postgres_url: str, tmp_path: Path
) -> None:
    engine = make_engine(database_url)
    with reading(engine) as connection:
        assert abs(now(connection) - time.time()) < 60
        assert is_sqlite(connection) == database_url.startswith("sqlite")
    careful = make_engine(postgres_url, few_rows=True)
    with reading(careful) as connection:
        assert connection.execute(text("SHOW enable_seqscan")).scalar_one() == "off"
