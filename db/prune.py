"""Deletes old rows of `batches`, which grows by a row a batch."""

from __future__ import annotations

from sqlalchemy import Engine, delete, select

from curate.db.engine import now, writing
from curate.db.schema import batches

PRUNED_AT_ONCE = 10_000  # rows a transaction, so that workers are not kept from writing


def prune_batches(engine: Engine, dataset_id: int, days: float) -> int:
    """Delete the batches of a dataset that began more than so many days ago; returns how many."""
    pruned = 0
    while True:
        with writing(engine) as connection:
            before = now(connection) - days * 86400
            old = select(batches.c.id).where(
                batches.c.dataset_id == dataset_id, batches.c.started_at < before
            )
            some = delete(batches).where(batches.c.id.in_(old.limit(PRUNED_AT_ONCE)))
            count = connection.execute(some).rowcount
        pruned += count
        if count < PRUNED_AT_ONCE:
            return pruned
