"""Permits: nobody is overtaken, no more than the server takes, and dead ones end."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, text

from curate.db.engine import make_engine
from curate.db.permits import get_in_line, give_back, is_first, keep_pace, renew_permits

LEASE = 60.0


@pytest.fixture
def engine(database_url: str) -> Engine:
    return make_engine(database_url)


def write(engine: Engine, sql: str, **values: object) -> None:
    with engine.begin() as connection:
        connection.execute(text(sql), values)


def test_as_many_as_the_server_takes_go_and_the_next_in_order(engine: Engine) -> None:
    line = [get_in_line(engine, "s", f"p{n}", LEASE) for n in range(4)]
    other = get_in_line(engine, "t", "p0", LEASE)
    assert [is_first(engine, p, "s", 2, LEASE) for p in line] == [True, True, False, False]
    assert is_first(engine, other, "t", 1, LEASE)
    give_back(engine, line[1])
    assert [is_first(engine, p, "s", 2, LEASE) for p in line] == [True, None, True, False]
    # each goes by its own option, also when others allow more
    assert [is_first(engine, p, "s", 1, LEASE) for p in line[2:]] == [False, False]


def test_permits_of_the_dead_end_and_renewed_ones_last(engine: Engine) -> None:
    dead, renewed, mine = (get_in_line(engine, "s", n, LEASE) for n in ("dead", "lives", "me"))
    write(engine, "UPDATE permits SET until = until - 59 WHERE id <> :mine", mine=mine)
    renew_permits(engine, {renewed}, LEASE)
    write(engine, "UPDATE permits SET until = until - 2")
    assert is_first(engine, mine, "s", 1, LEASE) is False
    assert is_first(engine, mine, "s", 2, LEASE)
    assert is_first(engine, dead, "s", 2, LEASE) is None  # it needs another one
    get_in_line(engine, "s", "me", LEASE)  # tidies up
    with engine.connect() as connection:
        owners = connection.execute(text("SELECT owner FROM permits ORDER BY id")).scalars().all()
    assert owners == ["lives", "me", "me"]


def test_a_permit_of_a_time_before_the_clock_was_set_back_keeps_nobody_waiting(
    engine: Engine,
) -> None:
    get_in_line(engine, "s", "dead", LEASE)
    write(engine, "UPDATE permits SET until = until + 86400")
    assert is_first(engine, get_in_line(engine, "s", "me", LEASE), "s", 1, LEASE)


def test_requests_keep_their_distance(engine: Engine) -> None:
    assert keep_pace(engine, "s", 1) == 0
    assert 50 < keep_pace(engine, "s", 1) <= 60
    assert 5 < keep_pace(engine, "s", 10) <= 6
    assert keep_pace(engine, "t", 1) == 0
    write(engine, "UPDATE servers SET asked_at = asked_at - 60")
    assert keep_pace(engine, "s", 1) == 0
    write(engine, "UPDATE servers SET asked_at = asked_at + 9999")  # the clock was set back
    assert keep_pace(engine, "s", 1) == 0
