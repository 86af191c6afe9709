"""Chooses which dataset and stage this process works on next, and runs batches of it for a while.

`curate.worker.batch` runs each batch. This module does not depend on Celery.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator

from sqlalchemy import Engine

from curate.configs.errors import ServiceError
from curate.configs.pipeline import Pipeline, StageStep
from curate.configs.schema import RUNNING
from curate.configs.settings import Settings
from curate.db.datasets import Dataset
from curate.db.engine import make_engine
from curate.db.queue.ready import deepest, has_ready
from curate.tasks.storage.locations import home_text
from curate.worker.batch import BatchReport, BatchRunner
from curate.worker.datasets import readable_datasets
from curate.worker.fair_share import FairShare
from curate.worker.logs import about
from curate.worker.stopping import told_to_stop

log = logging.getLogger(__name__)

# how long one message keeps a process busy: a message costs as much as saving a small batch
MESSAGE_SECONDS = 0.5
# the longest that a stage pauses in this process, in seconds, after repeated service errors
LONGEST_PAUSE = 60.0
NO_PAUSE = (0.0, 0.5)  # its end, and half the length of the first one


class Runner:
    """Runs batches of all running datasets. Each process creates one, after the fork.

    `processes`: how many there are of them, this one included.
    """

    def __init__(
        self, settings: Settings, engine: Engine | None = None, processes: int = 1
    ) -> None:
        self.settings = settings
        self.engine = engine or make_engine(
            settings.database, few_rows=True, home=home_text(settings)
        )
        self.batches = BatchRunner(settings, self.engine, processes)
        self._fair_share = FairShare()
        self._pauses: dict[str, tuple[float, float]] = {}  # by stage: end (monotonic) and length
        self._running: dict[int, tuple[Dataset, Pipeline]] = {}  # by dataset id, as last read

    def run_for(
        self, stage: str, dataset_id: int | None = None, partial: bool = False
    ) -> BatchReport | None:
        """`run_one`, then more batches of that stage and dataset for MESSAGE_SECONDS."""
        until = time.monotonic() + MESSAGE_SECONDS
        report = self.run_one(stage, dataset_id, partial)
        # rows are released when the pipeline has changed: stop, so that it is read again
        while report and not (report.saved.lost or report.saved.released) and not told_to_stop():
            if time.monotonic() >= until:
                break
            try:
                more = self._try(report.dataset_id, report.step.name, requested=True)
            except ServiceError:  # already logged; the first batches still count
                break
            if more is None:
                break
            report += more
        return report

    def run_one(
        self, stage: str, dataset_id: int | None = None, partial: bool = False
    ) -> BatchReport | None:
        """Run one batch of a stage; return None if no dataset has rows for it, or at the end.

        The dataset `dataset_id` is tried first, then the others, the one with the least share
        first. `partial`: rows of that dataset do not wait for a full batch. While the stage is
        paused, its messages start other work of the same queue, which would wait behind them.

        Raises ServiceError when something that the stage needs is missing. The rows are then
        released, `batches` logs the reason, and the stage pauses in this process for a while.
        """
        if told_to_stop():
            return None
        paused_until, _ = self._pauses.get(stage, NO_PAUSE)
        if time.monotonic() < paused_until:
            job = self._job_instead_of(stage)
            if job is None:
                return None
            dataset_id, stage, partial = job[0], job[1].name, False
        with self._pause_after_service_error(stage):
            if self.batches.unreleased:
                self.batches.release_unreleased()
            self._running = {}  # in case the database does not answer
            self._running = readable_datasets(self.engine, RUNNING)
        candidates = [i for i, (_, pipeline) in self._running.items() if stage in pipeline.by_name]
        for i in sorted(self._fair_share.order(candidates), key=lambda i: i != dataset_id):
            if report := self._try(i, stage, requested=i == dataset_id, partial=partial):
                return report
        return None

    def next_job(self, queue: str) -> tuple[int, StageStep] | None:
        """The next dataset and stage for a queue; None if nothing waits.

        It is the dataset with the least share that has a batch, and its deepest stage.
        """
        now = time.monotonic()
        paused = {stage for stage, (until, _) in self._pauses.items() if now < until}
        for dataset_id in self._fair_share.order(self._running):
            pipeline = self._running[dataset_id][1]
            if step := deepest(self.engine, dataset_id, pipeline, queue, paused):
                return dataset_id, step
        return None

    def _try(
        self, dataset_id: int, stage: str, requested: bool, partial: bool = False
    ) -> BatchReport | None:
        """Run one batch of a dataset if it has one; `requested`: the message names the dataset."""
        dataset, pipeline = self._running[dataset_id]
        step = pipeline.by_name[stage]
        with self._pause_after_service_error(stage):
            # no check where the claim answers it: no stage to load, no full batch to wait for
            is_loaded = (dataset_id, stage) in self.batches.stages.loaded
            if not (requested and is_loaded) or step.seconds_to_fill:
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
        """Other work from the queues of a paused stage; None if there is none."""
        if not self._running:  # the stage is paused because the database did not answer
            return None
        try:
            self._running = readable_datasets(self.engine, RUNNING)
        except ServiceError:
            self._running = {}
            return None
        pipelines = [pipeline for _, pipeline in self._running.values()]
        queues = {p.by_name[stage].options.queue for p in pipelines if stage in p.by_name}
        jobs = (self.next_job(queue) for queue in sorted(queues))
        return next((job for job in jobs if job), None)

    @contextlib.contextmanager
    def _pause_after_service_error(self, stage: str) -> Iterator[None]:
        """Pause the stage if the block raises ServiceError, for twice as long as the last time."""
        try:
            yield
        except ServiceError as error:
            length = min(LONGEST_PAUSE, 2 * self._pauses.get(stage, NO_PAUSE)[1])
            self._pauses[stage] = (time.monotonic() + length, length)
            log.warning("stage %s pauses for %g s: %s", stage, length, error)
            raise
