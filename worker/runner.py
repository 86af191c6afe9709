"""The batch runner: claim rows, run the stage, save what it found. Knows nothing of Celery."""

from __future__ import annotations

import dataclasses
import errno
import logging
import math
import random
import resource
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
from sqlalchemy import Engine

import curate
from curate.configs.errors import (
    CurateError,
    DiskFull,
    NotFinite,
    OutOfMemory,
    RowError,
    ServiceError,
    StageError,
    UnexpectedError,
)
from curate.configs.pipeline import Pipeline, StageStep, parse
from curate.configs.settings import Settings
from curate.db import saves
from curate.db.claims import Claim, Want, claim, give_back
from curate.db.datasets import Dataset, all_datasets
from curate.db.engine import make_engine
from curate.db.saves import Findings
from curate.tasks.registry import stages
from curate.tasks.stage import Clip, Context, Outcome, Stage, Video
from curate.worker.owner import new_owner, worker_name
from curate.worker.watch import Watch

log = logging.getLogger(__name__)


@lru_cache(maxsize=256)
def pipeline_of(frozen: str) -> Pipeline:
    """The pipeline of a dataset from its frozen JSON text."""
    import json

    return parse(json.loads(frozen), stages(), "the dataset's pipeline")


@dataclass(frozen=True)
class Report:
    """What a batch did; as text, the line that Flower and the log show."""

    dataset_id: int
    step: StageStep
    pipeline: Pipeline
    n_ok: int
    n_failed: int
    seconds: float

    def __str__(self) -> str:
        noun = f"{self.step.level}s"
        total = self.n_ok + self.n_failed
        return f"{total} {noun}: {self.n_ok} ok, {self.n_failed} failed, {self.seconds:.1f} s"


class Runner:
    """Runs batches in this process. Make one a process, after it was forked."""

    def __init__(self, settings: Settings, engine: Engine | None = None) -> None:
        self.settings = settings
        self.engine = engine or make_engine(settings.database)
        self._loaded: dict[tuple[int, str, str], Stage[Any, Any]] = {}
        self._recalled: dict[tuple[int, str, str], int] = {}

    def run_one(self, stage: str) -> Report | None:
        """Run one batch of a stage, of any dataset that has rows for it; None when nothing is ready."""
        candidates = [d for d in all_datasets(self.engine) if pipeline_of(d.pipeline_text).has(stage)]
        random.shuffle(candidates)  # fairness: no dataset is always first
        for dataset in candidates:
            pipeline = pipeline_of(dataset.pipeline_text)
            held = claim(self.engine, self._want(dataset, pipeline, stage))
            if held is not None:
                return self._run_batch(held, dataset)
        return None

    def _want(self, dataset: Dataset, pipeline: Pipeline, stage: str) -> Want:
        settings = self.settings
        return Want(
            dataset.id, pipeline.stage(stage), pipeline, new_owner(), settings.lease_seconds, settings.max_attempts
        )

    def _run_batch(self, held: Claim, dataset: Dataset) -> Report:
        started = time.monotonic()
        try:
            with Watch(self.engine, held, curate.__version__):
                stage = self._stage(dataset, held)
                _cap_memory(held.want.step)
                findings = find(stage, self._rows(held))
        except BaseException:  # a service is missing or the worker was told to stop: others may go on
            give_back(self.engine, held, crashed=False)
            raise
        pipeline = pipeline_of(saves.current_pipeline(self.engine, dataset.id))
        saves.save(self.engine, held, findings, pipeline, worker_name(), curate.__version__)
        failed = len(findings.failed)
        counts = (len(held.rows) - failed, failed)
        return Report(dataset.id, held.want.step, pipeline, *counts, time.monotonic() - started)

    def _stage(self, dataset: Dataset, held: Claim) -> Stage[Any, Any]:
        step = held.want.step
        key = (dataset.id, step.name, repr(step.options))
        if key not in self._loaded:
            stage: Stage[Any, Any] = stages()[step.name](step.options, Context(self.settings, held.want.pipeline))
            stage.load()
            self._loaded[key] = stage
        stage = self._loaded[key]
        if step.spec.order(step.options) is not None:
            last = self._recalled.get(key, 0)
            taken = saves.taken_since(self.engine, dataset.id, last)
            stage.recall(taken)
            self._recalled[key] = taken[-1]["dedup_seq"] if taken else last
        return stage

    def _rows(self, held: Claim) -> Sequence[Video | Clip]:
        if held.want.step.level == "video":
            return [as_video(row) for row in held.rows]
        parents = {i: as_video(row) for i, row in held.videos.items()}
        return [as_clip(row, parents[row["video_id"]], self.settings) for row in held.rows]


def as_video(row: Mapping[str, Any]) -> Video:
    """A row of `videos` as stages see it."""
    return Video(row["id"], row["dataset_id"], row["path"], row["relpath"], row)


def as_clip(row: Mapping[str, Any], video: Video, settings: Settings) -> Clip:
    """A row of `clips` as stages see it."""
    base = Fraction(video["time_base_num"] or 1, video["time_base_den"] or 1)
    span = (row["start_pts"], row["end_pts"], base)
    return Clip(row["id"], row["dataset_id"], row["clip_index"], video, *span, row, settings.samples)


def find(stage: Stage[Any, Any], rows: Sequence[Video | Clip]) -> Findings:
    """Run the stage over the rows. A row that raises ends up among the failed, and takes no other along."""
    findings = Findings()
    for row, outcome in zip(rows, _outcomes(stage, rows), strict=True):
        checked = _checked(stage, outcome) if isinstance(outcome, Outcome) else outcome
        if isinstance(checked, CurateError):
            findings.failed[row.id] = (type(checked).__name__, str(checked))
            continue
        findings.scores[row.id] = checked.scores
        if stage.name == "split":
            findings.clips[row.id] = checked.clips
        if checked.drop:
            findings.dropped[row.id] = checked.drop
    return findings


def _outcomes(stage: Stage[Any, Any], rows: Sequence[Any]) -> Iterable[Outcome | CurateError]:
    if type(stage).run_batch is not Stage.run_batch:
        whole = _attempt(stage, rows)
        if not isinstance(whole, CurateError):
            return whole
        if len(rows) == 1 or stage.order(stage.options) is not None:
            return [whole] * len(rows)
        singles = [_attempt(stage, [row]) for row in rows]
        return [one if isinstance(one, CurateError) else one[0] for one in singles]
    return [_attempt_row(stage, row) for row in rows]


def _attempt(stage: Stage[Any, Any], rows: Sequence[Any]) -> list[Outcome] | CurateError:
    try:
        return stage.run_batch(rows)
    except Exception as error:  # noqa: BLE001  the one place where a stage may raise anything
        return as_row_error(stage, error)


def _attempt_row(stage: Stage[Any, Any], row: Any) -> Outcome | CurateError:
    try:
        return stage.run(row)
    except Exception as error:  # noqa: BLE001  the one place where a stage may raise anything
        return as_row_error(stage, error)


def as_row_error(stage: Stage[Any, Any], error: Exception) -> CurateError:
    """What a row fails with when its stage raised `error`. Raises ServiceError again: no row is to blame."""
    if isinstance(error, ServiceError):
        raise error
    if isinstance(error, RowError):
        return error
    if isinstance(error, MemoryError):
        return OutOfMemory(stage=stage.name, megabytes=stage.options.memory_mb)
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return DiskFull(stage=stage.name, folder=stage.context.settings.folder)
    log.warning("stage %s raised", stage.name, exc_info=error)
    return UnexpectedError(stage=stage.name, kind=type(error).__name__, why=" ".join(str(error).split())[:500])


def _checked(stage: Stage[Any, Any], outcome: Outcome) -> Outcome | CurateError:
    try:
        found = [dataclasses.replace(c, scores=_plain(stage, c.scores)) for c in outcome.clips]
        return Outcome(_plain(stage, outcome.scores), found, outcome.drop)
    except StageError as error:
        return error


def _plain(stage: Stage[Any, Any], scores: Mapping[str, Any]) -> dict[str, Any]:
    """The scores as plain numbers and text. Raises NotFinite, UnexpectedError."""
    plain: dict[str, Any] = {}
    for column, value in scores.items():
        if column not in stage.columns:
            raise UnexpectedError(stage=stage.name, kind="a column it does not declare", why=column)
        plain[column] = value.item() if isinstance(value, np.generic) else value
        if isinstance(plain[column], float) and not math.isfinite(plain[column]):
            raise NotFinite(stage=stage.name, value=plain[column], column=column)
    return plain


def _cap_memory(step: StageStep) -> None:
    """Let allocations fail beyond memory_mb, so that a greedy decoder raises instead of filling the host."""
    if step.options.queue == "ascend":  # the runtime of an accelerator maps far more than it uses
        return
    wanted = step.options.memory_mb << 20
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
