"""Writes the table `batches`: one row per batch, kept longer than Flower remembers it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection, Float, bindparam, case, insert

from curate.configs.texts import storable
from curate.db.expressions import unix_time
from curate.db.queue.leases import Claim
from curate.db.schema import batches

_TOOK = unix_time() - bindparam("since", type_=Float(53))
# not below 0: a clock may be set back
LOG_STATEMENT = insert(batches).inline().values(seconds=case((_TOOK < 0, 0.0), else_=_TOOK))


class Took(NamedTuple):
    """What rows took that a stage ran together: seconds of the CPU, all cores and ended children
    together, and of the wall clock. `videos` has the id of the video of each row: they count alike.
    """

    videos: Sequence[int]
    cpu: float
    wall: float


@dataclass(frozen=True)
class Done:
    """What a batch did: the rows that are ok, those that failed, and what they took."""

    ok: int = 0
    failed: int = 0
    took: Sequence[Took] = ()


def log_batch(
    connection: Connection,
    claim: Claim,
    done: Done,
    worker: str,
    version: str,
    error: Exception | None = None,
) -> None:
    """Log what a batch did, with what it took: `by_video` is a JSON list of the id of each video,
    how many of its rows there were, and their seconds of CPU and wall.

    `error` is why the batch was released: a service is missing, and no row is to blame.
    """
    rows = Counter(row.get("video_id", row["id"]) for row in claim.rows)
    cpu, wall = dict.fromkeys(rows, 0.0), dict.fromkeys(rows, 0.0)
    for took in done.took:
        for video, count in Counter(took.videos).items():
            cpu[video] += took.cpu * count / len(took.videos)
            wall[video] += took.wall * count / len(took.videos)
    by_video = [[v, n, round(cpu[v], 5), round(wall[v], 5)] for v, n in rows.items()]
    entry = {
        "dataset_id": claim.request.dataset_id,
        "stage": claim.request.step.name,
        "worker": worker,
        "n_ok": done.ok,
        "n_failed": done.failed,
        "started_at": claim.started_at,
        "since": claim.started_at,
        "version": version,
        "error": None if error is None else storable(str(error)),
        "reason": None if error is None else type(error).__name__,
        "claim_seconds": claim.claim_seconds,
        "cpu_seconds": sum(took.cpu for took in done.took) if done.took else None,
        "by_video": json.dumps(by_video, separators=(",", ":")) if done.took else None,
    }
    connection.execute(LOG_STATEMENT, entry)
