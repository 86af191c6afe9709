"""The alternative of benchmarks/dispatch.py: one Celery chain a clip, one task a stage, each with
its row.

As a program, ``python -m benchmarks.noop_chain CLIPS STAGES`` sends the chains and prints the CPU
seconds it took.
"""

from __future__ import annotations

import os
import resource
import sys
from functools import cache

from celery import Celery, chain
from sqlalchemy import Engine, text

from curate.db.engine import make_engine

app = Celery("chained", broker=os.environ["CHAIN_BROKER"])
app.conf.update(task_ignore_result=True, task_acks_late=True, worker_prefetch_multiplier=1)


@cache
def engine() -> Engine:
    """This process's engine."""
    return make_engine(os.environ["CHAIN_DATABASE"])


@app.task(name="advance")  # type: ignore[untyped-decorator]
def advance(clip: int, stage: int) -> None:
    """Read the row, do nothing, write the row."""
    with engine().begin() as connection:
        connection.execute(
            text("SELECT stage FROM chained WHERE id = :i"), {"i": clip}
        ).scalar_one()
        connection.execute(
            text("UPDATE chained SET stage = :s WHERE id = :i"), {"i": clip, "s": stage}
        )


def main() -> None:
    """Send a chain a clip."""
    clips, stages = map(int, sys.argv[1:])
    before = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    for clip in range(clips):
        chain(*(advance.si(clip, stage) for stage in range(1, stages + 1))).apply_async()
    print(sum(resource.getrusage(resource.RUSAGE_SELF)[:2]) - before)


if __name__ == "__main__":
    main()
