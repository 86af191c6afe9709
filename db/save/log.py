"""Writes the table `batches`: one row per batch, kept longer than Flower remembers it."""

from __future__ import annotations

from sqlalchemy import Connection, Float, bindparam, case, insert

from curate.configs.texts import storable
from curate.db.expressions import unix_time
from curate.db.queue.leases import Claim
from curate.db.schema import batches

_TOOK = unix_time() - bindparam("since", type_=Float(53))
# not below 0: a clock may be set back
LOG_STATEMENT = insert(batches).inline().values(seconds=case((_TOOK < 0, 0.0), else_=_TOOK))


def log_batch(
    connection: Connection,
    claim: Claim,
    counts: tuple[int, int],
    worker: str,
    version: str,
    error: Exception | None = None,
) -> None:
    """Log what a batch did. `counts`: the rows that are ok, and those that failed.

    `error` is why the batch was released: a service is missing, and no row is to blame.
    """
    entry = {
        "dataset_id": claim.request.dataset_id,
        "stage": claim.request.step.name,
        "worker": worker,
        "n_ok": counts[0],
        "n_failed": counts[1],
        "started_at": claim.started_at,
        "since": claim.started_at,
        "version": version,
        "error": None if error is None else storable(str(error)),
        "reason": None if error is None else type(error).__name__,
        "claim_seconds": claim.claim_seconds,
    }
    connection.execute(LOG_STATEMENT, entry)
