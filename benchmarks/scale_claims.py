"""Claims and saves of no-op batches over many rows: latency, and what each index adds."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import scale_rows
from scale_servers import Server
from sqlalchemy import Engine, text

from curate.db import datasets
from curate.db.engine import make_engine, writing
from curate.db.queue.claim import claim
from curate.db.queue.leases import Claim, ClaimRequest, release_rows
from curate.db.reports.overview import view_dataset
from curate.db.save.batch import Outcomes, Writer, save

BATCH = 64
DROPPABLE = ("ix_clips_ended", "ix_clips_duplicate_of", "ix_clips_dataset_id_dedup_seq")
SCORES: dict[str, dict[str, Any]] = {
    "motion": {"flow": 0.5, "black": 0.1},
    "ocr": {"total_text_percentage": 0.01, "num_boxes": 1},
}


class Worker:
    """Claims batches of a dataset and saves scores that pass every filter, as a worker does."""

    def __init__(self, url: str) -> None:
        self.engine: Engine = make_engine(url)
        self.dataset = datasets.pick(self.engine, None)
        self.pipeline = scale_rows.pipeline()
        self.writer = Writer(lambda _: self.pipeline, "bench", "0")
        self.seq = 0

    def claim(self, stage: str) -> Claim | None:
        """A batch of the stage."""
        step = self.pipeline.by_name[stage]
        small = step.__class__(
            step.name, step.spec, step.options.model_copy(update={"batch_size": BATCH})
        )
        return claim(
            self.engine,
            ClaimRequest(self.dataset.id, small, self.pipeline, f"bench{self.seq}", 300, 3),
        )

    def save(self, held: Claim) -> int:
        """Save the batch; returns its rows."""
        self.seq += 1
        if held.request.step.name == "dedup":
            start = 10**12 + self.seq * BATCH
            scores = {i: {"duplicate": 0, "dedup_seq": start + n} for n, i in enumerate(held.ids)}
        else:
            scores = dict.fromkeys(held.ids, SCORES[held.request.step.name])
        return save(self.engine, held, Outcomes(scores=scores), self.writer).rows

    def status(self) -> None:
        """Count everything, as `curate status` does."""
        view_dataset(self.engine, self.dataset.id)

    def claim_in_order(self) -> None:
        """A batch of dedup, taken and given back."""
        if held := self.claim("dedup"):
            request = held.request
            with writing(self.engine) as connection:
                release_rows(connection, request.dataset_id, [request.owner], request.step)


def _ms(server: Server, work: Callable[[], None], times: int = 10) -> float:
    """CPU milliseconds of both ends, on average."""
    before = server.cpu() + time.process_time()
    for _ in range(times):
        work()
    return round(1000 * (server.cpu() + time.process_time() - before) / times, 1)


def latency(server: Server, url: str, batches: int) -> dict[str, Any]:
    """Of the first and last quarter: milliseconds of a claim (median), CPU microseconds of a row's
    claim and save.
    """
    worker = Worker(url)
    found = {}
    for stage in ("motion", "ocr", "dedup"):
        quarters = [_quarter(server, worker, stage, batches // 4) for _ in range(4)]
        found[stage] = {
            "batches": batches,
            "first quarter": quarters[0],
            "last quarter": quarters[-1],
        }
        print(f"  claims of {stage}: {found[stage]}", flush=True)
    worker.engine.dispose()
    return found


def _quarter(server: Server, worker: Worker, stage: str, batches: int) -> dict[str, float]:
    took, rows = [], 0
    before = server.cpu(), time.process_time()
    for _ in range(batches):
        started = time.monotonic()
        held = worker.claim(stage)
        if held is None:
            break
        took.append(1000 * (time.monotonic() - started))
        rows += worker.save(held)
    cpu = server.cpu() - before[0], time.process_time() - before[1]
    return {
        "claim_ms": round(statistics.median(took or [0]), 2),
        "server_us": round(1e6 * cpu[0] / max(1, rows), 1),
        "client_us": round(1e6 * cpu[1] / max(1, rows), 1),
    }


def cost_of_indexes(server: Server, url: str, batches: int) -> dict[str, Any]:
    """CPU of both ends with all indexes and without each: a row's claim and save, counting all, an
    ordered claim.
    """
    worker = Worker(url)
    found = {}
    with worker.engine.begin() as connection:
        name = "sqlite_master WHERE sql IS NOT NULL" if server.postgres is None else "pg_indexes"
        columns = "name, sql" if server.postgres is None else "indexname, indexdef"
        made = dict(connection.execute(text(f"SELECT {columns} FROM {name}")).tuples().all())
    for without in ("", *DROPPABLE, ""):
        if without:
            _do(worker.engine, f"DROP INDEX {without}")
        before = server.cpu() + time.process_time()
        rows = sum(worker.save(held) for _ in range(batches) if (held := worker.claim("motion")))
        cpu = 1e6 * (server.cpu() + time.process_time() - before) / max(1, rows)
        gains = {
            "status_ms": _ms(server, worker.status),
            "ordered_claim_ms": _ms(server, worker.claim_in_order),
        }
        if without:
            _do(worker.engine, made[without])
        label = (
            f"without {without}"
            if without
            else "with all"
            if "with all" not in found
            else "with all, again"
        )
        found[label] = {"us": round(cpu, 1), "rows": rows, **gains}
        print(f"  {label}: claim and save {cpu:.1f} us a row ({rows} rows), {gains}", flush=True)
    worker.engine.dispose()
    return found


def _do(engine: Engine, statement: str) -> None:
    with writing(engine) as connection:
        connection.execute(text(statement))
