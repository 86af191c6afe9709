"""Engines: which URLs are taken, and what each kind of connection does on both engines."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from curate.configs.errors import ServiceError
from curate.db.engine import looking, make_engine, now, reading, snapshot, writing


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
    for look in (reading, looking, snapshot):
        with look(engine) as connection:
            assert connection.execute(text("SELECT a FROM t")).scalars().all() == [1]


def test_the_clock_goes_on(database_url: str) -> None:
    with reading(make_engine(database_url)) as connection:
        assert 0 < now(connection) <= now(connection)
