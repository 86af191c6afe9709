"""The Celery workers that run, on all hosts: each supervisor keeps a row for each of its own up to
date.

A row whose `seen_at` is old belongs to a supervisor that was killed, that hangs, or that cannot
reach the database.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from sqlalchemy import Engine, and_, delete, func, insert, or_, select, tuple_, update

from curate.db.datasets import all_datasets
from curate.db.engine import now, reading, writing
from curate.db.schema import clips, videos, workers

BEAT_SECONDS = 10.0  # between two signs of life
RECENT_SECONDS = 45.0  # after so long without one a worker does not count as running
FORGET_SECONDS = 3600.0  # after so long its row is removed by whoever writes next


@dataclass(frozen=True)
class Running:
    """One Celery worker as its supervisor reports it. `npu` is the one that it is pinned to."""

    name: str
    host: str
    pid: int
    queue: str
    processes: int
    npu: int | None
    version: str


@dataclass(frozen=True)
class Seen(Running):
    """A worker as the database knows it; times are unix seconds and `age` seconds, by the
    database's clock.
    """

    started_at: float
    seen_at: float
    age: float

    @property
    def recent(self) -> bool:
        """Whether it gave a sign of life lately."""
        return self.age <= RECENT_SECONDS

    @property
    def node(self) -> str:
        """What Celery calls it."""
        return f"{self.name}@{self.host}"


def report(engine: Engine, running: Iterable[tuple[int | None, Running]]) -> list[int]:
    """Write a sign of life of each worker, by the id of its row (None: it has none yet); returns
    the ids in order.

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
        same = {(worker.host, worker.name) for _, worker in pairs}
        here = tuple_(workers.c.host, workers.c.name).in_(same)
        gone = and_(here, workers.c.seen_at < time - RECENT_SECONDS, workers.c.id.not_in(ids))
        connection.execute(
            delete(workers).where(or_(gone, workers.c.seen_at < time - FORGET_SECONDS))
        )
    return ids


def leave(engine: Engine, ids: Iterable[int]) -> None:
    """Remove the rows of workers that were stopped."""
    gone = list(ids)
    if not gone:
        return
    with writing(engine) as connection:
        connection.execute(delete(workers).where(workers.c.id.in_(gone)))


def known(engine: Engine, host: str | None = None) -> list[Seen]:
    """The workers that gave a sign of life within the last hour, of all hosts or of one, by host
    and name.
    """
    columns = [c for c in workers.c if c.name != "id"]
    with reading(engine) as connection:
        time = now(connection)
        query = select(*columns).where(workers.c.seen_at >= time - FORGET_SECONDS)
        narrowed = query if host is None else query.where(workers.c.host == host)
        rows = connection.execute(
            narrowed.order_by(workers.c.host, workers.c.name, workers.c.id)
        ).mappings()
        return [Seen(**row, age=max(0.0, time - row["seen_at"])) for row in rows]


def rows_at_work(engine: Engine) -> dict[str, int]:
    """How many rows the processes of each host hold now, by host, over all datasets."""
    found: dict[str, int] = {}
    for dataset in all_datasets(engine):
        stages = [
            step["stage"] for step in dataset.frozen if "stage" in step
        ]  # so that the claim index serves
        with reading(engine) as connection:
            time = now(connection)
            for table in (videos, clips):
                held = select(table.c.owner, func.count()).where(
                    table.c.dataset_id == dataset.id,
                    table.c.stage.in_(stages),
                    table.c.status == "active",
                    table.c.lease_until > time,
                )
                for owner, rows in connection.execute(held.group_by(table.c.owner)):
                    host = str(owner).partition("|")[0]
                    found[host] = found.get(host, 0) + int(rows)
    return found


def by_version(found: Iterable[Seen]) -> dict[str, list[str]]:
    """The hosts of the workers that run, by version of curate, both sorted."""
    hosts: dict[str, set[str]] = {}
    for worker in found:
        if worker.recent:
            hosts.setdefault(worker.version, set()).add(worker.host)
    return {version: sorted(hosts[version]) for version in sorted(hosts)}


def difference(found: Iterable[Seen], mine: tuple[str, str] | None = None) -> str:
    """What to say when versions of curate differ between hosts, else an empty text. `mine`: version
    and host here.
    """
    hosts = by_version(found)
    if mine and mine[1] not in hosts.setdefault(mine[0], []):
        hosts[mine[0]].append(mine[1])
    if len(hosts) < 2:
        return ""
    parts = [f"{version} on {', '.join(names)}" for version, names in sorted(hosts.items())]
    return (
        f"hosts run different versions of curate: {'; '.join(parts)}. The same clip may get other scores on each;"
        " install one version everywhere and start the workers again"
    )
