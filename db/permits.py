"""Permits: how many requests go to a server at a time, and how many a minute, over all processes.

A permit is a row of `permits`. Whoever wants to send a request gets in line with one, and sends it
when fewer rows before it are alive than the server takes at a time. Nobody is overtaken, so no
process starves. A permit is alive until its time, which the process renews meanwhile; that of a
process that was killed ends by itself, when the server is probably through with the request too.
"""

from __future__ import annotations

from collections.abc import Collection
from importlib import import_module
from typing import Any

from sqlalchemy import Connection, Engine, delete, func, insert, select, update

from curate.db.engine import now, reading, writing
from curate.db.expressions import among, among_found
from curate.db.queue.leases import FAR, lock_in_order, update_in_order
from curate.db.schema import permits, servers


def get_in_line(engine: Engine, server: str, owner: str, lease_seconds: float) -> int:
    """The id of a new permit, behind all that there are. Permits of dead processes go."""
    with writing(engine) as connection:
        # the lock of the server's row: ids come in the order in which others see them
        _lock(connection, server)
        time = now(connection)
        of_server = permits.c.server == server
        dead = lock_in_order(permits, of_server, ~_alive(time, lease_seconds))
        connection.execute(delete(permits).where(among_found(permits.c.id, dead)))
        new = {"server": server, "owner": owner, "until": time + lease_seconds}
        made = connection.execute(insert(permits).values(new).returning(permits.c.id))
        return int(made.scalar_one())


def is_first(engine: Engine, permit: int, server: str, at_a_time: int, lease: float) -> bool | None:
    """Whether a request may be sent, as far as those under way are concerned; None where the
    permit ended, and another one is needed.
    """
    with reading(engine, "AUTOCOMMIT") as connection:
        alive = (permits.c.server == server, _alive(now(connection), lease))
        query = select(
            func.count().filter(permits.c.id < permit), func.count().filter(permits.c.id == permit)
        ).where(*alive)
        before, there = connection.execute(query).one()
    return before < at_a_time if there else None


def keep_pace(engine: Engine, server: str, per_minute: float) -> float:
    """Seconds until the next request may be sent; 0: now, and the one after it has to wait."""
    with writing(engine) as connection:
        last = _lock(connection, server)
        time = now(connection)
        wait = last + 60 / per_minute - time
        if wait > 0 and last <= time:  # a later one is of a clock that was set back
            return wait
        asked = update(servers).where(servers.c.name == server).values(asked_at=time)
        connection.execute(asked)
    return 0.0


def renew_permits(engine: Engine, ids: Collection[int], lease_seconds: float) -> None:
    """Let permits last for another lease length."""
    with writing(engine) as connection:
        until = now(connection) + lease_seconds
        ours = update_in_order(permits, among(permits.c.id))
        connection.execute(ours.values(until=until), {"ids": list(ids)})


def give_back(engine: Engine, permit: int) -> None:
    """End a permit: the request is through, or is not sent."""
    with writing(engine) as connection:
        connection.execute(delete(permits).where(permits.c.id == permit))


def _lock(connection: Connection, server: str) -> float:
    """Lock the row of a server until the transaction ends; returns when it was asked last."""
    query = select(servers.c.asked_at).where(servers.c.name == server).with_for_update()
    found = connection.execute(query).scalar()
    if found is None:
        dialect = import_module(f"sqlalchemy.dialects.{connection.dialect.name}")
        new = dialect.insert(servers).values(name=server).on_conflict_do_nothing()
        connection.execute(new)  # another process may be faster
        found = connection.execute(query).scalar_one()
    return float(found)


def _alive(time: float, lease_seconds: float) -> Any:
    # one that ends far ahead is of a time before the clock was set back
    return (permits.c.until > time) & (permits.c.until < time + FAR * lease_seconds)
