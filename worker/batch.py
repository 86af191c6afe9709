"""Runs one batch from claim to save. Start reading the code here, with `BatchRunner.run`.

The runner claims rows with a lease, which a thread renews, runs the stage over them, and saves the
outcomes in one transaction. What happens when a step fails:

- Load: the stage cannot be loaded. No row is claimed, and `batches` logs the reason.
- Claim: the database does not answer. It may have leased rows all the same, so the runner releases
  whatever this batch holds.
- Run: the stage fails on a row. That row is saved as failed, and the others go on (`run_rows`).
- Run: a server's answer is paid for, and the process dies. The answer is kept (`SharedGate`), and
  the next batch takes it instead of asking again.
- Run: a service is missing (ServiceError), and no row is to blame. Where the stage returns it for a
  row, the rows that have an outcome are saved; where it raises it, none is. The others are released
  as if never taken, and `batches` logs the reason.
- Run: the batch overruns its time limit. A row that is alone fails, the rows of a larger batch
  expire, and the process is killed, since nothing else stops C code (`LeaseKeeper`).
- Run: a source was replaced (`leave_out_replaced`). Nothing of it is saved, and its video starts
  again.
- Run: the process is told to stop. A batch of a stage that `stops_at_once` is given up, and its
  rows are released; others are finished and saved.
- Run: the process dies. Its leases expire, and the rows are tried again in halves (`claim`).
- Save: the database does not answer. The runner tries again for about a minute, then releases the
  rows.
- Save: another process now holds the rows. `save` leaves them alone and counts them as `lost`.
- Save: the stage's options changed while the batch ran. Nothing is saved, and the rows wait again.
- Release: the database does not answer. The runner tries again before each next batch
  (`release_unreleased`); if the process ends first, the rows wait until their lease ends.
- Expire: the database does not answer. The process is killed all the same, and the lease ends by
  itself.

This module does not depend on Celery.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import time
from dataclasses import dataclass

from sqlalchemy import Engine

import curate
from curate.configs.errors import ServiceError
from curate.configs.pipeline import Pipeline, StageStep
from curate.configs.settings import Settings
from curate.db.datasets import Dataset
from curate.db.engine import writing
from curate.db.filters import sql as _sql  # noqa: F401  loads sqlglot before any transaction
from curate.db.queue.claim import claim
from curate.db.queue.leases import Claim, ClaimRequest, release_rows
from curate.db.save.batch import Outcomes, Saved, Writer, save
from curate.db.save.log import Done, log_batch
from curate.worker.datasets import pipeline_of
from curate.worker.gate import Permits
from curate.worker.lease_keeper import LeaseKeeper
from curate.worker.loaded_stages import LoadedStages
from curate.worker.logs import about
from curate.worker.memory import capped_memory
from curate.worker.outcomes import run_rows
from curate.worker.owner import new_owner, worker_name
from curate.worker.progress import ProgressFile
from curate.worker.rows import stage_rows
from curate.worker.sources import leave_out_replaced
from curate.worker.stopping import given_up_when_told

log = logging.getLogger(__name__)

# a full batch that takes as long is divided where few rows wait; one that takes less is not worth
# the claims of several
SLOW_SECONDS = 0.5
SAVE_WAITS = (1.0, 5.0, 15.0, 30.0)  # seconds between tries while the database does not answer


@dataclass(frozen=True)
class BatchReport:
    """What one or more batches did; `str()` gives the line that Flower and the log show."""

    dataset_id: int
    step: StageStep
    pipeline: Pipeline
    saved: Saved
    seconds: float
    batches: int = 1

    def __str__(self) -> str:
        saved = self.saved
        ends = {"ok": saved.ok, "failed": saved.failed, "dropped": saved.dropped}
        not_saved = {
            "lost to others": saved.lost,
            "released to be done again": saved.released,
            "of replaced sources": saved.replaced,
        }
        ends |= {end: rows for end, rows in not_saved.items() if rows}
        total = sum(ends.values())
        noun = self.step.level if total == 1 else f"{self.step.level}s"
        noun += f" in {self.batches} batches" if self.batches > 1 else ""
        parts = ", ".join(f"{rows} {end}" for end, rows in ends.items())
        return f"{total} {noun}: {parts}, {self.seconds:.1f} s"

    def __add__(self, later: BatchReport) -> BatchReport:
        return dataclasses.replace(
            self,
            saved=self.saved + later.saved,
            seconds=self.seconds + later.seconds,
            batches=self.batches + later.batches,
        )


class BatchRunner:
    """Runs batches in this process. Each process creates one, after the fork."""

    def __init__(self, settings: Settings, engine: Engine, processes: int = 1) -> None:
        self.engine = engine
        self._progress = ProgressFile(settings)
        permits = Permits(engine, settings.lease_seconds)
        self.stages = LoadedStages(settings, engine, self._progress.count, permits)
        self._settings = settings
        self._processes = processes  # that serve the queue on this host
        self._samples = settings.samples
        self._writer = Writer(pipeline_of, worker_name(), curate.code_version())
        self._lease_keeper = LeaseKeeper(
            engine, self._writer, progress=self._progress, also_renew=permits.renew
        )
        self.unreleased: list[ClaimRequest] = []  # grows only while the database does not answer

    def run(self, dataset: Dataset, pipeline: Pipeline, stage: str) -> BatchReport | None:
        """Run one batch of a stage; return None if no row waits for it.

        Raises ServiceError when a service is missing, and Stopped when the batch is given up. The
        module's docstring lists the failures.
        """
        step = pipeline.by_name[stage]
        request = ClaimRequest(
            dataset_id=dataset.id,
            step=step,
            pipeline=pipeline,
            owner=new_owner(),
            lease_seconds=self._settings.lease_seconds,
            max_attempts=self._settings.max_attempts,
            reads=step.spec.reads,
            neighbours=step.neighbours,
            epoch=dataset.epoch if step.order else None,
        )
        claimed: Claim | None = None
        try:
            # loading may take minutes, and recalling too: do both before the lease begins to run
            with given_up_when_told():
                loaded = self.stages.get(dataset, pipeline, step)
            if step.order:
                loaded.recall(self.engine, dataset.id, step.order)
            sharers = self._processes if step.divides and loaded.is_slow else 1
            if (claimed := claim(self.engine, request, sharers)) is None:
                return None
            started = time.monotonic()
            with about(batch=request.owner.rpartition("|")[2], rows=len(claimed.rows)):
                with (
                    self._progress.during(claimed),
                    self._lease_keeper.keep(claimed),
                    capped_memory(step.options),
                ):
                    if step.order:  # once more: what was taken since
                        loaded.recall(self.engine, dataset.id, step.order)
                    rows = stage_rows(claimed, self._samples)
                    with given_up_when_told(loaded.stage.stops_at_once):
                        outcomes = run_rows(loaded.stage, rows)
                    if loaded.stage.opens_source:
                        leave_out_replaced(rows, outcomes)
                    saved = self._save(claimed, outcomes)
                    if loaded.gate and not saved.lost:  # who has the rows may need the answers
                        loaded.gate.forget([*outcomes.scores, *outcomes.failed])
                seconds = time.monotonic() - started
                loaded.is_slow = seconds * step.options.batch_size >= SLOW_SECONDS * len(rows)
                report = BatchReport(dataset.id, step, pipeline, saved, seconds)
                log.info("%s", report)
                if outcomes.service_error:
                    raise outcomes.service_error
                return report
        except BaseException as error:
            # even without `claimed` it may hold rows: the database's answer may have been lost
            self.unreleased.append(request)
            with contextlib.suppress(ServiceError):
                self.release_unreleased()
            if isinstance(error, ServiceError):
                self._log_released(claimed or Claim(request, (), {}, time.time()), error)
            raise

    def release_unreleased(self) -> None:
        """Release the rows of batches that ended while the database did not answer."""
        while self.unreleased:
            request = self.unreleased[0]
            with writing(self.engine) as connection:
                release_rows(connection, request.dataset_id, [request.owner], request.step)
            self.unreleased.pop(0)

    def _save(self, claimed: Claim, outcomes: Outcomes) -> Saved:
        """Save, retrying while the database does not answer."""
        stage = claimed.request.step.name
        for wait in (*SAVE_WAITS, None):
            try:
                saved = save(self.engine, claimed, outcomes, self._writer)
                break
            except ServiceError as error:
                if wait is None:
                    raise
                log.warning("batch of stage %s not saved, trying again: %s", stage, error)
                time.sleep(wait)
        if saved.lost:
            message = "stage %s: %d of %d rows not saved: held by others now"
            log.warning(message, stage, saved.lost, len(claimed.rows))
        if saved.released and not outcomes.service_error:
            log.warning("stage %s: its options changed, and its rows wait again", stage)
        return saved

    def _log_released(self, claimed: Claim, error: ServiceError) -> None:
        with contextlib.suppress(ServiceError), writing(self.engine) as connection:
            writer = self._writer
            log_batch(connection, claimed, Done(), writer.worker, writer.version, error)
