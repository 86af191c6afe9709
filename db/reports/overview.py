"""The view of a dataset that every command shows, and the overview of all datasets that metrics
show.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Engine, select, text

from curate.configs.pipeline import Pipeline
from curate.configs.schema import CANCELLED, DELETING, RUNNING
from curate.db.datasets import all_datasets, has_picks
from curate.db.engine import is_sqlite, reading
from curate.db.reports.at_work import BatchAtWork, etas, media_left
from curate.db.reports.batches import recent_rates
from curate.db.reports.counts import RowCount, count_rows
from curate.db.reports.failures import BlockedStage, blocked_stages
from curate.db.reports.progress import (
    StageProgress,
    StepCounts,
    Totals,
    eta_of,
    funnel,
    progress,
    totals,
)
from curate.db.reports.workers import SeenWorker, known_workers
from curate.db.schema import datasets


@dataclass(frozen=True)
class Recent:
    """What the batches of the last minutes tell: rows a second by stage, and the stages that cannot
    work now.
    """

    rates: Mapping[str, float] = field(default_factory=dict)
    blocked: Sequence[BlockedStage] = ()
    media_left: Mapping[str, float] = field(default_factory=dict)  # seconds of video, by stage


def recent(
    engine: Engine, dataset_id: int, pipeline: Pipeline, long_stages: Collection[str] = ()
) -> Recent:
    """Look at the last batches of a dataset, and at how much video waits for the stages that take
    long.
    """
    stages = [step.name for step in pipeline.stages]
    left = {}
    if long_stages:
        with reading(engine) as connection:
            left = media_left(connection, dataset_id, long_stages)
    rates = recent_rates(engine, dataset_id, stages)
    return Recent(rates, blocked_stages(engine, dataset_id), left)


@dataclass(frozen=True)
class DatasetView:
    """One dataset at one moment: the numbers that `status`, `run`, `filter` and metrics show of it.

    `stages` tells how far each stage is, `at_work` how far the batches are that take long, `steps`
    what each stage and filter took in, kept and dropped. `stages` and `steps` are empty without a
    pipeline: metrics count datasets too whose pipeline this version cannot read.
    """

    stages: Sequence[StageProgress]
    totals: Totals
    state: str = RUNNING
    blocked: Sequence[BlockedStage] = ()
    steps: Sequence[StepCounts] = ()
    counts: Sequence[RowCount] = ()
    at_work: Sequence[BatchAtWork] = ()

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return self.totals.active == 0

    @property
    def over(self) -> bool:
        """Whether nothing more will be done: nothing is left, or the dataset was cancelled."""
        return self.finished or self.state in (CANCELLED, DELETING)

    @property
    def eta(self) -> float | None:
        """Seconds until all of it is done; None when that cannot be told."""
        return eta_of(self.stages)

    @property
    def eta_at_least(self) -> float | None:
        """Seconds that some stage still needs, where `eta` cannot be told."""
        return max((stage.eta for stage in self.stages if stage.eta is not None), default=None)


def view_dataset(
    engine: Engine,
    dataset_id: int,
    pipeline: Pipeline | None = None,
    recent: Recent | None = None,
    at_work: Sequence[BatchAtWork] = (),
) -> DatasetView:
    """Look at a dataset: all rows are counted at one moment, out of indexes alone.

    `recent` is for rates and blocked stages, which need not be looked at each time.
    """
    recent = recent or Recent()
    with reading(engine, "REPEATABLE READ") as connection:
        of_dataset = select(datasets.c.state).where(datasets.c.id == dataset_id)
        state: str = connection.execute(of_dataset).scalar_one()
        picks = has_picks(connection, dataset_id)
        counts = count_rows(connection, dataset_id)
    steps = funnel(counts, pipeline, picks) if pipeline else []
    stages = progress(steps, recent.rates, etas(recent.media_left, at_work))
    blocked = recent.blocked
    return DatasetView(stages, totals(counts), state, blocked, steps, counts, at_work)


def condition(view: DatasetView, refiltering: bool) -> str:
    """What a dataset is at: paused, cancelled, refiltering; running when rows are at work, waiting
    when none is; empty, done, or `has failed` when nothing is left and rows failed.
    """
    if view.state != RUNNING:
        return view.state
    if refiltering:
        return "refiltering"
    if not view.finished:
        return "running" if any(count.leased for count in view.counts) else "waiting"
    if view.totals.failed:
        return "has failed"
    return "done" if view.totals.videos else "empty"


@dataclass(frozen=True)
class Overview:
    """Everything there is at one moment: all datasets by name, the workers, and the database's size
    in bytes.
    """

    names: Mapping[int, str]  # of datasets, by id
    views: Mapping[str, DatasetView] = field(default_factory=dict)
    workers: Sequence[SeenWorker] = ()
    size: int = 0


def overview(engine: Engine) -> Overview:
    """Look at everything: a few queries a dataset, all of which the claim index serves."""
    names = {dataset.id: dataset.name for dataset in all_datasets(engine)}
    views = {name: view_dataset(engine, dataset_id) for dataset_id, name in names.items()}
    with reading(engine) as connection:
        if is_sqlite(connection):
            pragmas = ("PRAGMA page_count", "PRAGMA page_size")
            pages, page_size = (connection.execute(text(p)).scalar_one() for p in pragmas)
            size = int(pages) * int(page_size)
        else:
            of_this = text("SELECT pg_database_size(current_database())")
            size = int(connection.execute(of_this).scalar_one())
    return Overview(names, views, known_workers(engine), size)
