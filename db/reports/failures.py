"""Which stages of a dataset are held up: their last batch was given back as a whole, and no row is
to blame.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine, func, select

from curate.db.engine import now, reading
from curate.db.schema import batches

RECENT = 600.0  # seconds; a stage that is held up is tried at least every minute


@dataclass(frozen=True)
class HeldUp:
    """A stage, the error's class and message, and how many seconds ago it was tried."""

    stage: str
    reason: str
    message: str
    seconds: float


def held_up(engine: Engine, dataset_id: int) -> list[HeldUp]:
    """The stages of a dataset whose last batch, of the last ten minutes, was given back, by name."""
    with reading(engine) as connection:
        time = now(connection)
        recent = (batches.c.dataset_id == dataset_id, batches.c.started_at > time - RECENT)
        last = select(func.max(batches.c.id)).where(*recent).group_by(batches.c.stage)
        columns = (batches.c.stage, batches.c.reason, batches.c.error, batches.c.started_at)
        query = select(*columns).where(batches.c.id.in_(last), batches.c.error.is_not(None))
        found = connection.execute(query.order_by(batches.c.stage)).all()
    return [
        HeldUp(stage, reason or "ServiceError", error, max(0.0, time - at))
        for stage, reason, error, at in found
    ]
