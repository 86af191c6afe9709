"""What a monitor asks for: every dataset's rows by place, expired leases, workers, and the size of
the database.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import Connection, Engine, func, select, text

from curate.configs.schema import Level
from curate.db.datasets import Dataset, all_datasets
from curate.db.engine import is_sqlite, now, reading
from curate.db.queue.leases import FREE
from curate.db.reports.counts import tally
from curate.db.reports.progress import LEVELS, Cell
from curate.db.reports.workers import Seen, known
from curate.db.schema import rows_of

Expired = dict[tuple[Level, str], int]  # rows by level and stage


@dataclass(frozen=True)
class Overview:
    """Everything there is at one moment; `states`, `cells` and `expired` by the dataset's name."""

    datasets: dict[int, str]
    states: dict[str, str] = field(default_factory=dict)
    cells: dict[str, list[Cell]] = field(default_factory=dict)
    expired: dict[str, Expired] = field(default_factory=dict)
    workers: list[Seen] = field(default_factory=list)
    size: int = 0


def overview(engine: Engine) -> Overview:
    """Look at everything: a few queries a dataset, all of which the claim index serves."""
    found = all_datasets(engine)
    cells = {d.name: tally(engine, d.id) for d in found}
    with reading(engine) as connection:
        expired = {d.name: _expired(connection, d) for d in found}
        size = _size(connection)
    states = {d.name: d.state for d in found}
    return Overview({d.id: d.name for d in found}, states, cells, expired, known(engine), size)


def _expired(connection: Connection, dataset: Dataset) -> Expired:
    """Rows whose worker died or lost its lease, and that nobody took again yet."""
    time = now(connection)
    stages = [step["stage"] for step in dataset.frozen if "stage" in step]
    found: Expired = {}
    for level in LEVELS:
        c = rows_of(level).c
        here = (c.dataset_id == dataset.id, c.stage.in_(stages), c.status == "active")
        query = select(c.stage, func.count()).where(
            *here, c.lease_until > FREE, c.lease_until < time
        )
        for stage, rows in connection.execute(query.group_by(c.stage)):
            found[level, str(stage)] = int(rows)
    return found


def _size(connection: Connection) -> int:
    """The size of the database in bytes."""
    if is_sqlite(connection):
        pages, size = (
            connection.execute(text(f"PRAGMA {p}")).scalar_one()
            for p in ("page_count", "page_size")
        )
        return int(pages) * int(size)
    return int(connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one())
