"""Which Celery workers run on which hosts, by which version of curate, and what rows their
processes hold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from sqlalchemy import Engine, func, select

from curate.configs.schema import LEVELS, Level
from curate.db.datasets import Dataset, all_datasets
from curate.db.engine import now, reading
from curate.db.schema import rows_of, workers
from curate.db.worker_rows import FORGET_SECONDS, RECENT_SECONDS, RunningWorker


@dataclass(frozen=True)
class SeenWorker(RunningWorker):
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


def known_workers(engine: Engine, host: str | None = None) -> list[SeenWorker]:
    """The workers that gave a sign of life within the last hour, of one host or (None) of all, by
    host and name.
    """
    columns = [column for column in workers.c if column.name != "id"]
    with reading(engine) as connection:
        time = now(connection)
        query = select(*columns).where(workers.c.seen_at >= time - FORGET_SECONDS)
        if host is not None:
            query = query.where(workers.c.host == host)
        rows = connection.execute(
            query.order_by(workers.c.host, workers.c.name, workers.c.id)
        ).mappings()
        return [SeenWorker(**row, age=max(0.0, time - row["seen_at"])) for row in rows]


@dataclass(frozen=True)
class Lease:
    """How many rows of a stage an owner holds now, by a lease that has not run out."""

    stage: str
    level: Level
    owner: str
    rows: int

    @property
    def process(self) -> str:
        """The process that holds them, as pid@host."""
        parts = self.owner.split("|")  # host|boot and namespace|pid|…, see curate.worker.owner
        return f"{parts[2]}@{parts[0]}" if len(parts) > 2 else self.owner


def leases(engine: Engine, dataset: Dataset) -> list[Lease]:
    """What the owners hold of a dataset now."""
    stages = [
        step["stage"] for step in dataset.frozen if "stage" in step
    ]  # so the claim index serves
    found: list[Lease] = []
    with reading(engine) as connection:
        time = now(connection)
        for level in LEVELS:
            table = rows_of(level)
            by_owner = (
                select(table.c.stage, table.c.owner, func.count())
                .where(
                    table.c.dataset_id == dataset.id,
                    table.c.stage.in_(stages),
                    table.c.status == "active",
                    table.c.lease_until > time,
                )
                .group_by(table.c.stage, table.c.owner)
            )
            found += [Lease(s, level, str(o), int(n)) for s, o, n in connection.execute(by_owner)]
    return found


@dataclass(frozen=True)
class StageAtWork:
    """How many rows of a stage are in batches now."""

    stage: str
    level: Level
    rows: int


def stages_at_work(engine: Engine, processes: Collection[str]) -> list[StageAtWork]:
    """The rows that some processes (as pid@host) hold now, over all datasets, by stage."""
    rows: Counter[tuple[str, Level]] = Counter()
    for dataset in all_datasets(engine):
        for lease in leases(engine, dataset):
            if lease.process in processes:
                rows[lease.stage, lease.level] += lease.rows
    return [StageAtWork(stage, level, count) for (stage, level), count in sorted(rows.items())]


def busy_processes(engine: Engine, dataset: Dataset) -> list[str]:
    """The processes that hold rows of a dataset now, as pid@host, sorted."""
    return sorted({lease.process for lease in leases(engine, dataset)})


def leased_by_host(engine: Engine) -> dict[str, int]:
    """How many rows the processes of each host hold now, over all datasets."""
    by_host: Counter[str] = Counter()
    for dataset in all_datasets(engine):
        for lease in leases(engine, dataset):
            by_host[lease.owner.partition("|")[0]] += lease.rows
    return by_host


def hosts_by_version(seen: Iterable[SeenWorker]) -> dict[str, list[str]]:
    """The hosts of the workers that run, by version of curate, both sorted."""
    hosts: dict[str, set[str]] = {}
    for worker in seen:
        if worker.recent:
            hosts.setdefault(worker.version, set()).add(worker.host)
    return {version: sorted(hosts[version]) for version in sorted(hosts)}


def version_warning(seen: Iterable[SeenWorker], own: tuple[str, str] | None = None) -> str:
    """What to say when hosts run different versions of curate, else an empty text.

    `own` is the version and host of this process, to compare it too.
    """
    hosts = hosts_by_version(seen)
    if own and own[1] not in hosts.setdefault(own[0], []):
        hosts[own[0]].append(own[1])
    if len({version.rpartition("+")[2] for version in hosts}) < 2:  # the digest of the code
        return ""
    parts = [f"{version} on {', '.join(names)}" for version, names in sorted(hosts.items())]
    return (
        f"hosts run different versions of curate: {'; '.join(parts)}. The same clip may get other"
        " scores on each; install one version everywhere and start the workers again"
    )
