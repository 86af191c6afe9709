"""The pipeline run on the sampled videos, in a home of its own that is gone afterwards."""

from __future__ import annotations

import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from curate.configs.errors import NeedMissing, PlanStopped
from curate.configs.pipeline import Pipeline
from curate.configs.settings import Settings
from curate.db import datasets
from curate.db.reports.costs import MeasuredBatch, measured_batches, video_yields
from curate.db.reports.failures import failures
from curate.db.spending import Spent, spent_by_stage
from curate.tasks.inputs.files import Input
from curate.tasks.storage.clip_files import archive_size
from curate.tasks.storage.locations import Location
from curate.worker.planning.population import Floats
from curate.worker.session.database import OpenDataset, make_database
from curate.worker.session.display import Display
from curate.worker.session.home import HomeSession
from curate.worker.session.running import run_workers

NAME = "plan"  # of the dataset in the home that is gone afterwards
WARM_SHARE = 1 / 3  # of a stage's rows, from which its pace is told without first batches


@dataclass
class StageTrial:
    """What a stage took for each sampled video: seconds of CPU and wall, and rows. `start` is what
    each process needs once before it goes at its pace, in seconds of CPU and wall.
    """

    cpu: Floats
    wall: Floats
    rows: Floats
    start: tuple[float, float] = (0.0, 0.0)
    spent: Spent = field(default_factory=Spent)


@dataclass(frozen=True)
class Trial:
    """What was found of each sampled video, in their order, and what failed, by error."""

    stages: Mapping[str, StageTrial]
    clips: Floats
    kept: Floats
    clip_bytes: Floats
    sample_bytes: Floats
    failed: Mapping[str, int]


@dataclass
class TrialSession(HomeSession):
    """The home of a trial: its remarks are of no use to whoever asked for a plan, but how far it is
    they see.
    """

    outer: HomeSession = field(default_factory=HomeSession)

    def display(self) -> Display:
        """That of the call."""
        return self.outer.display()

    @cached_property
    def settings(self) -> Settings:
        """Those of the call, with all that is written in the home of the trial."""
        own = Path(self.home or "")
        return self.outer.settings.model_copy(
            update={
                "home": own,
                "database_url": "",
                "readonly_database_url": "",
                "broker_url": "",
                "media": None,
                "models": self.outer.settings.model_folder,
            }
        )


def run_trial(
    session: HomeSession, pipeline: Pipeline, root: str, inputs: Sequence[Input], jobs: int | None
) -> Trial:
    """Run the pipeline on the inputs with workers of this host, and measure it.

    Raises PlanStopped where a stage cannot go on, and what `run_workers` raises.
    """
    with tempfile.TemporaryDirectory(prefix="curate-plan-", ignore_cleanup_errors=True) as folder:
        trial = TrialSession(Path(folder), quiet=True, outer=session)
        engine = make_database(trial)
        try:
            dataset = datasets.create(engine, NAME, root, pipeline)
            datasets.enqueue(engine, dataset, inputs, pipeline)
            trial.dataset = dataset.name
            opened = OpenDataset(engine, dataset, pipeline)
            try:
                run_workers(trial, opened, jobs)
            except NeedMissing as error:
                stage = error.fields.get("stage")
                raise PlanStopped(why=error, stage=stage) from None
            return measure(opened, [one.path for one in inputs], trial.settings.samples)
        finally:
            engine.dispose()


def measure(opened: OpenDataset, paths: Sequence[str], samples: Location) -> Trial:
    """What a finished dataset tells of the videos at these paths."""
    engine, pipeline, dataset_id = opened.engine, opened.pipeline, opened.dataset.id
    yields = {found.path: found for found in video_yields(engine, dataset_id, pipeline)}
    found = [yields[path] for path in paths]
    place = {one.video_id: i for i, one in enumerate(found)}
    by_stage: defaultdict[str, list[MeasuredBatch]] = defaultdict(list)
    for batch in measured_batches(engine, dataset_id):
        by_stage[batch.stage].append(batch)
    stages = {}
    for step in pipeline.stages:
        stages[step.name] = _of_stage(by_stage[step.name], place, warms_up=step.level == "clip")
    for stage, spent in spent_by_stage(engine, dataset_id).items():
        stages[stage].spent = spent
    failed: Counter[str] = Counter()
    for failure in failures(engine, dataset_id):
        failed[failure.error] += failure.rows
    return Trial(
        stages,
        clips=np.array([one.clips for one in found], float),
        kept=np.array([one.kept for one in found], float),
        clip_bytes=np.array([one.clip_bytes for one in found], float),
        sample_bytes=np.array([archive_size(samples, one.video_id) for one in found], float),
        failed=failed,
    )


def _of_stage(
    batches: Sequence[MeasuredBatch], place: Mapping[int, int], warms_up: bool
) -> StageTrial:
    """What a stage took. With `warms_up` the first batch of each process is not counted at more
    than the pace of the later ones: it also loads libraries and compiles networks.
    """
    first: dict[str, MeasuredBatch] = {}
    for batch in batches:
        first.setdefault(batch.worker, batch)
    cold = list(first.values()) if warms_up else []
    warm = [batch for batch in batches if not any(batch is one for one in cold)]
    pace = _pace(warm) if _rows(warm) >= WARM_SHARE * _rows(batches) else None
    cpu, wall, rows = np.zeros((3, len(place)))
    trial = StageTrial(cpu, wall, rows)
    starts = []
    for batch in batches:
        own = _pace([batch])
        factors = [1.0, 1.0]
        if pace and own and any(batch is one for one in cold):
            factors = [min(1.0, p / o) if o else 1.0 for p, o in zip(pace, own, strict=True)]
            starts.append([o * _rows([batch]) * (1 - f) for o, f in zip(own, factors, strict=True)])
        for part in batch.parts:
            i = place[part.video_id]
            trial.rows[i] += part.rows
            trial.cpu[i] += part.cpu * factors[0]
            trial.wall[i] += part.wall * factors[1]
    if starts:
        trial.start = (
            float(np.mean([s[0] for s in starts])),
            float(np.mean([s[1] for s in starts])),
        )
    return trial


def _rows(batches: Sequence[MeasuredBatch]) -> int:
    return sum(part.rows for batch in batches for part in batch.parts)


def _pace(batches: Sequence[MeasuredBatch]) -> tuple[float, float] | None:
    """Seconds of CPU and wall a row; None where there is no row."""
    parts = [part for batch in batches for part in batch.parts]
    rows = _rows(batches)
    return (sum(p.cpu for p in parts) / rows, sum(p.wall for p in parts) / rows) if rows else None
