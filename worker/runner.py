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
from functools import cache, lru_cache
from typing import Any

import numpy as np
from sqlalchemy import Engine

import curate
from curate.configs.errors import (
    ConfigError,
    CurateError,
    DiskFull,
    NotFinite,
    OutOfMemory,
    RowError,
    ServiceError,
    UnexpectedError,
)
from curate.configs.pipeline import Pipeline, StageStep, parse
from curate.configs.settings import Settings
from curate.db import saves
from curate.db.claims import Claim, Want, claim, give_back, has_ready
from curate.db.datasets import Dataset, all_datasets
from curate.db.engine import make_engine
from curate.db.saves import Findings, Writer
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


SAVE_WAITS = (1.0, 5.0, 15.0, 30.0)  # seconds between tries to save while the database does not answer
LONGEST_PAUSE = 60.0  # seconds a stage rests in this process after it failed as a whole, again and again


class Runner:
    """Runs batches in this process. Make one a process, after it was forked."""

    def __init__(self, settings: Settings, engine: Engine | None = None) -> None:
        self.settings = settings
        self.engine = engine or make_engine(settings.database)
        self._loaded: dict[tuple[object, ...], Stage[Any, Any]] = {}
        self._recalled: dict[tuple[object, ...], int] = {}
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
        step = want.step
        ordered = step.spec.order(step.options) is not None
        key = (dataset.id, step.name, repr(step.options), dataset.epoch if ordered else 0)
        if key not in self._loaded:
            stage: Stage[Any, Any] = stages()[step.name](step.options, Context(self.settings, want.pipeline))
            _load(stage)
            self._loaded = {k: s for k, s in self._loaded.items() if k[:3] != key[:3]}
            self._loaded[key] = stage
        stage = self._loaded[key]
        if ordered:
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


def as_clip(row: Mapping[str, Any], video: Video, settings: Settings) -> Clip:
    """A row of `clips` as stages see it."""
    base = Fraction(video["time_base_num"] or 1, video["time_base_den"] or 1)
    span = (row["start_pts"], row["end_pts"], base)
    return Clip(row["id"], row["dataset_id"], row["clip_index"], video, *span, row, settings.samples)


def find(stage: Stage[Any, Any], rows: Sequence[Video | Clip]) -> Findings:
    """Run the stage over the rows. A row that raises ends up among the failed, and takes no other along."""
    findings = Findings()
    for row, outcome in zip(rows, _outcomes(stage, rows), strict=True):
        checked = outcome if isinstance(outcome, CurateError) else _checked(stage, outcome)
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
        outcomes = stage.run_batch(rows)
        if len(outcomes) != len(rows):
            raise ValueError(f"{len(outcomes)} outcomes for {len(rows)} rows")
        return outcomes
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
    except Exception as error:  # noqa: BLE001  a stage may return anything
        return as_row_error(stage, error)


def _plain(stage: Stage[Any, Any], scores: Mapping[str, Any]) -> dict[str, Any]:
    """The scores as plain numbers and text of their columns' kinds. Raises NotFinite, UnexpectedError."""
    plain: dict[str, Any] = {}
    for column, value in scores.items():
        if column not in stage.columns:
            raise UnexpectedError(stage=stage.name, kind="a column it does not declare", why=column)
        number = value.item() if isinstance(value, np.generic) else value
        if isinstance(number, float) and not math.isfinite(number):
            raise NotFinite(stage=stage.name, value=number, column=column)
        plain[column] = None if number is None else _fitted(stage, column, number)
    return plain


def _fitted(stage: Stage[Any, Any], column: str, value: Any) -> Any:
    kind = stage.columns[column].kind
    if kind == "float" and isinstance(value, int | float):
        return float(value)
    if kind == "int" and isinstance(value, int) and abs(value) < 1 << 63:
        return int(value)  # a bool too: Postgres takes it for another type
    if kind == "text" and isinstance(value, str) and "\0" not in value:
        return value.encode("utf-8", "replace").decode()  # a lone surrogate fits no database
    raise UnexpectedError(
        stage=stage.name, kind=f"a value that is no {kind} for column {column}", why=repr(value)[:200]
    )


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
