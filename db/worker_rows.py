"""The table `workers`: each supervisor keeps a row up to date for each of its Celery workers.

A row whose `seen_at` is old belongs to a supervisor that was killed, that hangs, or that cannot
reach the database. Who runs is read by `curate.db.reports.workers`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from sqlalchemy import Engine, and_, delete, insert, or_, tuple_, update

from curate.db.engine import now, writing
from curate.db.schema import workers

BEAT_SECONDS = 10.0  # between two heartbeats
RECENT_SECONDS = 45.0  # after so long without one a worker does not count as running
FORGET_SECONDS = 3600.0  # after so long its row is removed by whoever writes next


@dataclass(frozen=True)
class RunningWorker:
    """One Celery worker as its supervisor reports it. `npu` is the one that it is pinned to."""

    name: str
    host: str
    pid: int
    queue: str
    processes: int
    npu: int | None
    version: str


def record_workers(
    engine: Engine, running: Iterable[tuple[int | None, RunningWorker]]
) -> list[int]:
    """Write a heartbeat of each worker, by the id of its row (None: it has none yet); returns the
    ids in order.

    Removes rows that were left behind: old ones, and those of earlier workers of the same name and
    host.
    """
    pairs = list(running)
    with writing(engine) as connection:
        time = now(connection)
        ids = []
        for row_id, worker in pairs:
            known = (
                update(workers).where(workers.c.id == row_id).values(pid=worker.pid, seen_at=time)
            )
            if row_id is None or not connection.execute(known).rowcount:
                values = {**asdict(worker), "started_at": time, "seen_at": time}
                row_id = connection.execute(
                    insert(workers).values(**values).returning(workers.c.id)
                ).scalar_one()
            ids.append(int(row_id))
        names = {(worker.host, worker.name) for _, worker in pairs}
        of_same_name = tuple_(workers.c.host, workers.c.name).in_(names)
        replaced = and_(
            of_same_name, workers.c.seen_at < time - RECENT_SECONDS, workers.c.id.not_in(ids)
        )
        forgotten = workers.c.seen_at < time - FORGET_SECONDS
        connection.execute(delete(workers).where(or_(replaced, forgotten)))
    return ids


def remove_workers(engine: Engine, ids: Iterable[int]) -> None:
    """Remove the rows of workers that were stopped."""
    stopped = list(ids)
    if stopped:
        with writing(engine) as connection:
            connection.execute(delete(workers).where(workers.c.id.in_(stopped)))
