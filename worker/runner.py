"""The batch runner: claim rows, run the stage, save what it found. Knows nothing of Celery."""

from __future__ import annotations

import logging
import random
import resource
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import Engine

import curate
from curate.configs.errors import ConfigError, CurateError, ServiceError
from curate.configs.pipeline import Pipeline, StageStep, parse
from curate.configs.settings import Settings
from curate.db import saves
from curate.db.claims import Claim, Want, claim, give_back, has_ready
from curate.db.datasets import Dataset, all_datasets
from curate.db.engine import make_engine
from curate.db.saves import Findings, Writer
from curate.tasks.models.catalog import folder_of
from curate.tasks.models.kept import state
from curate.tasks.registry import stages
from curate.tasks.stage import Clip, Context, Stage, Video
from curate.worker.findings import find
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


@dataclass
class _Loaded:
    """A stage ready to run, for which form of the dataset, and the last number that it has recalled."""

    stage: Stage[Any, Any]
    version: tuple[object, ...]
    recalled: int = 0


MOST_LOADED = 32  # stages kept ready; models are kept by curate.tasks.models, once a process
SAVE_WAITS = (1.0, 5.0, 15.0, 30.0)  # seconds between tries to save while the database does not answer
LONGEST_PAUSE = 60.0  # seconds a stage rests in this process after it failed as a whole, again and again


class Runner:
    """Runs batches in this process. Make one a process, after it was forked."""

    def __init__(self, settings: Settings, engine: Engine | None = None) -> None:
        self.settings = settings
        self.engine = engine or make_engine(settings.database)
        self._loaded: OrderedDict[tuple[object, ...], _Loaded] = OrderedDict()  # least recently used first
        self._pauses: dict[str, tuple[float, float]] = {}  # stage: until when (monotonic), and how long

    def run_one(self, stage: str) -> Report | None:
        """Run one batch of a stage, of any dataset that has rows for it; None when nothing is ready.

        Raises ServiceError when something the stage needs is missing; its rows are given back, the reason
        is logged in `batches`, and the stage rests in this process for a while.
        """
        if time.monotonic() < self._pauses.get(stage, (0.0, 0.0))[0]:
            return None
        candidates = [(d, p) for d, p in usable(all_datasets(self.engine)) if p.has(stage)]
        random.shuffle(candidates)  # fairness: no dataset is always first
        for dataset, pipeline in candidates:
            if has_ready(self.engine, dataset.id, pipeline.stage(stage), pipeline):
                report = self._claim_and_run(dataset, pipeline, stage)
                if report is not None:
                    self._pauses.pop(stage, None)
                    return report
        return None

    def _claim_and_run(self, dataset: Dataset, pipeline: Pipeline, name: str) -> Report | None:
        want = Want(
            dataset.id,
            pipeline.stage(name),
            pipeline,
            new_owner(),
            self.settings.lease_seconds,
            self.settings.max_attempts,
            stages()[name].reads,
        )
        held: Claim | None = None
        try:
            stage = self._stage(dataset, want)  # before the claim: a model may take minutes to load
            held = claim(self.engine, want)
            return self._run_batch(held, stage) if held else None
        except ServiceError as error:
            self._pause(name)
            unheld = Claim(want, (), {}, time.time())
            saves.log_given_back(self.engine, held or unheld, str(error), self._writer())
            raise

    def _pause(self, stage: str) -> None:
        _, last = self._pauses.get(stage, (0.0, 0.5))
        pause = min(LONGEST_PAUSE, 2 * last)
        self._pauses[stage] = (time.monotonic() + pause, pause)

    def _writer(self) -> Writer:
        return Writer(pipeline_of, worker_name(), curate.__version__)

    def _run_batch(self, held: Claim, stage: Stage[Any, Any]) -> Report:
        started = time.monotonic()
        try:
            with Watch(self.engine, held, self._writer()):
                _cap_memory(held.want.step)
                findings = find(stage, self._rows(held))
                self._save(held, findings)
        except BaseException:  # a service is missing or the worker was told to stop: others may go on
            give_back(self.engine, held, crashed=False)
            raise
        finally:
            _lift_memory_cap()
        counts = (len(held.rows) - len(findings.failed), len(findings.failed))
        return Report(held.want.dataset_id, held.want.step, held.want.pipeline, *counts, time.monotonic() - started)

    def _save(self, held: Claim, findings: Findings) -> None:
        for wait in SAVE_WAITS:
            try:
                saves.save(self.engine, held, findings, self._writer())
                return
            except ServiceError as error:
                log.warning("batch of stage %s not saved, trying again: %s", held.want.step.name, error)
                time.sleep(wait)
        saves.save(self.engine, held, findings, self._writer())

    def _stage(self, dataset: Dataset, want: Want) -> Stage[Any, Any]:
        order = want.step.spec.order(want.step.options)
        loaded = self._loaded_for(dataset, want, order is not None)
        if order:
            taken = saves.taken_since(self.engine, dataset.id, loaded.recalled, order)
            loaded.stage.recall(taken)
            loaded.recalled = taken[-1][order.number] if taken else loaded.recalled
        return loaded.stage

    def _loaded_for(self, dataset: Dataset, want: Want, ordered: bool) -> _Loaded:
        """The stage as it is now: one of other options or weights, or of clips that were deleted, makes room for it."""
        name = (dataset.id, want.step.name)
        needs = stages()[want.step.name].models(want.step.options)
        weights = tuple(state(folder_of(need.model, self.settings.model_folder)) for need in needs)
        version = (want.pipeline.stages, dataset.epoch if ordered else 0, weights)
        if (found := self._loaded.get(name)) is None or found.version != version:
            stage: Stage[Any, Any] = stages()[want.step.name](want.step.options, Context(self.settings, want.pipeline))
            _load(stage)
            found = self._loaded[name] = _Loaded(stage, version)
        self._loaded.move_to_end(name)
        while len(self._loaded) > MOST_LOADED:
            self._loaded.popitem(last=False)
        return found

    def _rows(self, held: Claim) -> Sequence[Video | Clip]:
        if held.want.step.level == "video":
            return [as_video(row) for row in held.rows]
        parents = {i: as_video(row) for i, row in held.videos.items()}
        return [as_clip(row, parents[row["video_id"]], self.settings, _of_clip(held, row["id"])) for row in held.rows]


def usable(found: Sequence[Dataset]) -> list[tuple[Dataset, Pipeline]]:
    """Datasets with their pipelines; one whose pipeline this version cannot read is left to others, and said so."""
    pairs = []
    for dataset in found:
        try:
            pairs.append((dataset, pipeline_of(dataset.pipeline_text)))
        except ConfigError as error:
            _say_once(f"dataset {dataset.name} is left alone: {error}")
    return pairs


@cache
def _say_once(warning: str) -> None:
    log.warning(warning)


def _load(stage: Stage[Any, Any]) -> None:
    try:
        stage.load()
    except CurateError:
        raise
    except Exception as error:
        log.warning("stage %s cannot be loaded", stage.name, exc_info=error)
        raise ServiceError(what=f"Stage {stage.name}", why=f"{type(error).__name__}: {error}") from error


def as_video(row: Mapping[str, Any]) -> Video:
    """A row of `videos` as stages see it."""
    return Video(row["id"], row["dataset_id"], row["path"], row["relpath"], row)


def as_clip(
    row: Mapping[str, Any], video: Video, settings: Settings, tables: Mapping[str, Sequence[Mapping[str, Any]]]
) -> Clip:
    """A row of `clips` as stages see it, with its rows of other tables."""
    base = Fraction(video["time_base_num"] or 1, video["time_base_den"] or 1)
    span = (row["start_pts"], row["end_pts"], base)
    return Clip(row["id"], row["dataset_id"], row["clip_index"], video, *span, row, settings.samples, tables)


def _of_clip(held: Claim, clip_id: int) -> dict[str, Sequence[Mapping[str, Any]]]:
    return {name: rows.get(clip_id, ()) for name, rows in held.tables.items()}


def _cap_memory(step: StageStep) -> None:
    """Let allocations fail beyond memory_mb, so that a greedy decoder raises instead of filling the host."""
    if step.options.queue != "ascend":  # the runtime of an accelerator maps far more than it uses
        _limit_memory(step.options.memory_mb << 20)


def _lift_memory_cap() -> None:
    _limit_memory(None)


def _limit_memory(wanted: int | None) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    soft = hard if wanted is None else wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
