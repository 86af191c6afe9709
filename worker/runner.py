"""Chooses the next batch of this process, and repeats: which dataset, which stage, how long.

What happens in a batch is told in `curate.worker.batch`. Nothing here knows Celery.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator

from sqlalchemy import Engine

from curate.configs.errors import ServiceError
from curate.configs.pipeline import Pipeline, StageStep
from curate.configs.settings import Settings
from curate.db.datasets import Dataset
from curate.db.engine import make_engine
from curate.db.queue.ready import deepest, has_ready
from curate.worker.batch import BatchReport, BatchRunner
from curate.worker.datasets import running_datasets
from curate.worker.fair_share import FairShare
from curate.worker.logs import about

log = logging.getLogger(__name__)

# seconds of batches that one message is good for: it costs as much as saving a small batch
MESSAGE_SECONDS = 0.5
# seconds that a stage pauses in this process after it failed as a whole again and again
LONGEST_PAUSE = 60.0


class Runner:
    """Runs batches of all running datasets. Make one a process, after it was forked."""

    def __init__(self, settings: Settings, engine: Engine | None = None) -> None:
        self.settings = settings
        self.engine = engine or make_engine(settings.database, few_rows=True)
        self.batches = BatchRunner(settings, self.engine)
        self._fair_share = FairShare()
        self._pauses: dict[str, tuple[float, float]] = {}  # stage: until (monotonic), and length
        self._running: dict[int, tuple[Dataset, Pipeline]] = {}  # by id, as last read

    def run_for(
        self, stage: str, dataset_id: int | None = None, partial: bool = False
    ) -> BatchReport | None:
        """`run_one`, and more batches of that stage and dataset for MESSAGE_SECONDS."""
        until = time.monotonic() + MESSAGE_SECONDS
        report = self.run_one(stage, dataset_id, partial)
        # rows are lost to a changed pipeline too, which has to be read again
        while report and not report.lost and time.monotonic() < until:
            try:
                more = self._try(report.dataset_id, report.step.name, requested=True)
            except ServiceError:  # logged already; the messages after the first batches are due
                return report
            if more is None:
                return report
            report += more
        return report

    def run_one(
        self, stage: str, dataset_id: int | None = None, partial: bool = False
    ) -> BatchReport | None:
        """Run one batch of a stage; None when no dataset has rows for it.

        The dataset named comes first; without one, that with the least share. `partial`: rows of
        the dataset named do not wait for a full batch. While the stage is paused, other work of its
        queue is done, so that its messages keep nothing else waiting.

        Raises ServiceError when something the stage needs is missing; its rows are released,
        `batches` logs the reason, and the stage is paused in this process for a while.
        """
        if stage in self._paused():
            job = self._job_instead_of(stage)
            if job is None:
                return None
            dataset_id, stage, partial = job[0], job[1].name, False
        with self._pause_after_service_error(stage):
            self.batches.release_unreleased()
            self._read_running()
        candidates = [i for i, (_, pipeline) in self._running.items() if pipeline.has(stage)]
        for i in sorted(self._fair_share.order(candidates), key=lambda i: i != dataset_id):
            if report := self._try(i, stage, requested=i == dataset_id, partial=partial):
                return report
        return None

    def next_job(self, queue: str) -> tuple[int, StageStep] | None:
        """What to do next on a queue: the dataset with the least share, and its deepest stage."""
        paused = self._paused()
        for dataset_id in self._fair_share.order(self._running):
            pipeline = self._running[dataset_id][1]
            if step := deepest(self.engine, dataset_id, pipeline, queue, paused):
                return dataset_id, step
        return None

    def _try(
        self, dataset_id: int, stage: str, requested: bool, partial: bool = False
    ) -> BatchReport | None:
        """Run one batch of a dataset, if it has one; `requested`: the message names the dataset."""
        dataset, pipeline = self._running[dataset_id]
        step = pipeline.stage(stage)
        with self._pause_after_service_error(stage):
            # where the stage is loaded and does not wait for full batches, the claim finds out
            claim_tells = requested and (dataset_id, stage) in self.batches.stages
            if not claim_tells or step.options.seconds_to_fill:
                any_rows = requested and partial
                if not has_ready(self.engine, dataset_id, step, pipeline, any_rows):
                    return None
            with about(dataset=dataset.name, stage=stage):
                report = self.batches.run(dataset, pipeline, stage)
        if report is not None:
            self._fair_share.charge(dataset_id, report.seconds)
            self._pauses.pop(stage, None)
        return report

    def _job_instead_of(self, stage: str) -> tuple[int, StageStep] | None:
        """Other work on the queues of a paused stage."""
        if not self._running:  # the database did not answer: that is why the stage is paused
            return None
        try:
            self._read_running()
        except ServiceError:
            return None
        pipelines = [pipeline for _, pipeline in self._running.values()]
        queues = {p.stage(stage).options.queue for p in pipelines if p.has(stage)}
        jobs = (self.next_job(queue) for queue in sorted(queues))
        return next((job for job in jobs if job), None)

    def _read_running(self) -> None:
        self._running = {}  # nothing, should the database not answer
        self._running = {one.id: (one, p) for one, p in running_datasets(self.engine)}

    def _paused(self) -> set[str]:
        return {stage for stage, (until, _) in self._pauses.items() if time.monotonic() < until}

    @contextlib.contextmanager
    def _pause_after_service_error(self, stage: str) -> Iterator[None]:
        """Pause the stage when the block raises ServiceError: twice as long as the last time."""
        try:
            yield
        except ServiceError as error:
            length = min(LONGEST_PAUSE, 2 * self._pauses.get(stage, (0.0, 0.5))[1])
            self._pauses[stage] = (time.monotonic() + length, length)
            log.warning("stage %s rests for %g s: %s", stage, length, error)
            raise
