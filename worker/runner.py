"""The batch runner: claim rows, run the stage, save what it found. Knows nothing of Celery."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import resource
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

import curate
from curate.configs.errors import ConfigError, CurateError, ServiceError
from curate.configs.pipeline import Pipeline, StageStep, parse
from curate.configs.settings import Settings
from curate.configs.states import RUNNING
from curate.db.datasets import Dataset, all_datasets
from curate.db.engine import make_engine
from curate.db.queue.claim import claim
from curate.db.queue.leases import Claim, Want, let_go
from curate.db.queue.ready import deepest, has_ready
from curate.db.save import batch as saves
from curate.db.save.batch import Findings, Writer
from curate.tasks.models.catalog import folder_of
from curate.tasks.models.model_cache import weights_state
from curate.tasks.registry import stages
from curate.tasks.stage import Clip, Context, Stage, Video
from curate.tasks.storage.archives import RemoteArchives
from curate.worker.fair_share import FairShare
from curate.worker.lease_keeper import Watch
from curate.worker.logs import about
from curate.worker.outcomes import find
from curate.worker.owner import new_owner, worker_name

log = logging.getLogger(__name__)


@lru_cache(maxsize=256)
def pipeline_of(frozen: str) -> Pipeline:
    """The pipeline of a dataset from its frozen JSON text."""
    import json

    return parse(json.loads(frozen), stages(), "the dataset's pipeline")


@dataclass(frozen=True)
class Report:
    """What one batch or several did; as text, the line that Flower and the log show."""

    dataset_id: int
    step: StageStep
    pipeline: Pipeline
    n_ok: int
    n_failed: int
    seconds: float
    lost: int = 0  # rows that were not saved: another has them now
    batches: int = 1

    def __str__(self) -> str:
        noun = f"{self.step.level}s" + (f" in {self.batches} batches" if self.batches > 1 else "")
        lost = f", {self.lost} of them lost to others" if self.lost else ""
        total = self.n_ok + self.n_failed
        return f"{total} {noun}: {self.n_ok} ok, {self.n_failed} failed, {self.seconds:.1f} s{lost}"

    def __add__(self, later: Report) -> Report:
        names = ("n_ok", "n_failed", "seconds", "lost", "batches")
        return dataclasses.replace(
            self, **{name: getattr(self, name) + getattr(later, name) for name in names}
        )


@dataclass
class _Loaded:
    """A stage ready to run, for which form of the dataset, and the last number that it has
    recalled.
    """

    stage: Stage[Any, Any]
    version: tuple[object, ...]
    recalled: int = 0


MOST_LOADED = 32  # stages kept ready; models are kept by curate.tasks.models, once a process
SAVE_WAITS = (
    1.0,
    5.0,
    15.0,
    30.0,
)  # seconds between tries to save while the database does not answer
TURN_SECONDS = (
    0.5  # of batches that one message is good for: it costs as much as saving a small batch
)
LONGEST_PAUSE = (
    60.0  # seconds a stage rests in this process after it failed as a whole, again and again
)


class Runner:
    """Runs batches in this process. Make one a process, after it was forked."""

    def __init__(self, settings: Settings, engine: Engine | None = None) -> None:
        self.settings = settings
        self.engine = engine or make_engine(settings.database, few_rows=True)
        self._loaded: OrderedDict[tuple[object, ...], _Loaded] = (
            OrderedDict()
        )  # least recently used first
        self._pauses: dict[
            str, tuple[float, float]
        ] = {}  # stage: until when (monotonic), and how long
        self._owed: list[Want] = []  # batches whose rows could not be given back yet
        self._watch = Watch(self.engine, self._writer())
        self.fair_share = FairShare()
        self._working: dict[int, tuple[Dataset, Pipeline]] = {}  # as the last run_one found them

    def run_turn(
        self, stage: str, dataset_id: int | None = None, partial: bool = False
    ) -> Report | None:
        """`run_one`, and more batches of that stage and dataset while half a second has not passed."""
        until = time.monotonic() + TURN_SECONDS
        report = self.run_one(stage, dataset_id, partial)
        # rows are lost to a changed pipeline too, which has to be read again
        while report and not report.lost and time.monotonic() < until:
            try:
                with self._resting_after_trouble(report.step.name):
                    more = self._try(report.dataset_id, report.step.name, called=True)
            except (
                ServiceError
            ):  # told already; what the batches before it moved on is to be rung for
                return report
            if more is None:
                return report
            report += more
        return report

    def run_one(
        self, stage: str, dataset_id: int | None = None, partial: bool = False
    ) -> Report | None:
        """Run one batch of a stage: of the dataset named, or of another that has rows for it; None
        when none has.

        `partial`: the rows of that dataset are not to wait for a full batch.

        Raises ServiceError when something the stage needs is missing; its rows are given back, the
        reason is logged in `batches`, and the stage rests in this process for a while.
        """
        if stage in self._resting():
            turn = self._instead_of(stage)
            if turn is None:
                return None
            dataset_id, stage, partial = turn[0], turn[1].name, False
        with self._resting_after_trouble(stage):
            self._settle()
            return self._run_one(stage, dataset_id, partial)

    @contextlib.contextmanager
    def _resting_after_trouble(self, stage: str) -> Iterator[None]:
        try:
            yield
        except ServiceError as error:
            log.warning("stage %s rests for %g s: %s", stage, self._pause(stage), error)
            raise

    def _resting(self) -> set[str]:
        return {stage for stage, (until, _) in self._pauses.items() if time.monotonic() < until}

    def _instead_of(self, stage: str) -> tuple[int, StageStep] | None:
        """Other work on the queue of a stage that rests: its doorbells must not keep others from
        being heard.
        """
        if not self._working:  # the database did not answer: that is why the stage rests
            return None
        try:
            self._look()
        except ServiceError:
            return None
        queues = {p.stage(stage).options.queue for _, p in self._working.values() if p.has(stage)}
        return next((turn for queue in sorted(queues) if (turn := self.next_turn(queue))), None)

    def _run_one(self, stage: str, dataset_id: int | None, partial: bool) -> Report | None:
        self._look()
        candidates = [i for i, (_, pipeline) in self._working.items() if pipeline.has(stage)]
        for i in sorted(self.fair_share.order(candidates), key=lambda i: i != dataset_id):
            if report := self._try(i, stage, called=i == dataset_id, partial=partial):
                return report
        return None

    def _try(
        self, dataset_id: int, stage: str, called: bool, partial: bool = False
    ) -> Report | None:
        dataset, pipeline = self._working[dataset_id]
        if not self._may_claim(dataset_id, pipeline.stage(stage), pipeline, called, partial):
            return None
        with about(dataset=dataset.name, stage=stage):
            report = self._claim_and_run(dataset, pipeline, stage)
        if report is not None:
            self.fair_share.charge(dataset_id, report.seconds)
            self._pauses.pop(stage, None)
        return report

    def _look(self) -> None:
        self._working = {}
        self._working = {d.id: (d, p) for d, p in at_work(self.engine)}

    def _may_claim(
        self, dataset_id: int, step: StageStep, pipeline: Pipeline, called: bool, partial: bool
    ) -> bool:
        """Whether to try a claim: where it costs nothing, the claim itself finds out that nothing
        is there.
        """
        loaded = (dataset_id, step.name) in self._loaded
        if called and loaded and not step.options.patience:
            return True
        return has_ready(self.engine, dataset_id, step, pipeline, called and partial)

    def next_turn(self, queue: str) -> tuple[int, StageStep] | None:
        """What to do next on a queue: the deepest stage with a batch to claim of the dataset whose
        turn it is.
        """
        resting = self._resting()
        for i in self.fair_share.order(self._working):
            if step := deepest(self.engine, i, self._working[i][1], queue, resting):
                return i, step
        return None

    def _claim_and_run(self, dataset: Dataset, pipeline: Pipeline, name: str) -> Report | None:
        step = pipeline.stage(name)
        order = step.spec.order(step.options)
        want = Want(
            dataset.id,
            step,
            pipeline,
            new_owner(),
            self.settings.lease_seconds,
            self.settings.max_attempts,
            stages()[name].reads,
            None if order is None else dataset.epoch,
        )
        held: Claim | None = None
        try:
            loaded = self._stage(
                dataset, want
            )  # before the claim: a model may take minutes to load
            held = self._claim(want)
            return self._run_logged(held, loaded) if held else None
        except ServiceError as error:
            self._let_go(want)  # also when the database went away in the middle of the claim
            with contextlib.suppress(ServiceError):
                unheld = Claim(want, (), {}, time.time())
                saves.log_given_back(self.engine, held or unheld, error, self._writer())
            raise

    def _claim(self, want: Want) -> Claim | None:
        started = time.monotonic()
        held = claim(self.engine, want)
        return held and dataclasses.replace(held, claim_seconds=time.monotonic() - started)

    def _let_go(self, want: Want) -> None:
        """Give the rows of a batch back: now, or when the database answers again."""
        self._owed.append(want)
        with contextlib.suppress(ServiceError):
            self._settle()

    def _settle(self) -> None:
        while self._owed:
            let_go(self.engine, self._owed[0])
            self._owed.pop(0)

    def _pause(self, stage: str) -> float:
        _, last = self._pauses.get(stage, (0.0, 0.5))
        pause = min(LONGEST_PAUSE, 2 * last)
        self._pauses[stage] = (time.monotonic() + pause, pause)
        return pause

    def _writer(self) -> Writer:
        return Writer(pipeline_of, worker_name(), curate.code_version())

    def _run_logged(self, held: Claim, loaded: _Loaded) -> Report:
        with about(batch=held.want.owner.rpartition("|")[2], rows=len(held.rows)):
            report = self._run_batch(held, loaded)
            log.info("%s", report)
            return report

    def _run_batch(self, held: Claim, loaded: _Loaded) -> Report:
        started = time.monotonic()
        try:
            with self._watch.over(held):
                _cap_memory(held.want.step)
                self._recall(held.want, loaded)
                findings = find(loaded.stage, self._rows(held))
                _tell_failed(findings)
                lost = self._save(held, findings)
                if findings.trouble:
                    raise findings.trouble
        except (
            BaseException
        ):  # a service is missing or the worker was told to stop: others may go on
            self._let_go(held.want)
            raise
        finally:
            _lift_memory_cap()
        counts = (len(held.rows) - len(findings.failed), len(findings.failed))
        seconds = time.monotonic() - started
        return Report(
            held.want.dataset_id, held.want.step, held.want.pipeline, *counts, seconds, lost
        )

    def _save(self, held: Claim, findings: Findings) -> int:
        """Save; how many rows could not be, because another has them now."""
        for wait in SAVE_WAITS:
            try:
                return self._save_once(held, findings)
            except ServiceError as error:
                log.warning(
                    "batch of stage %s not saved, trying again: %s", held.want.step.name, error
                )
                time.sleep(wait)
        return self._save_once(held, findings)

    def _save_once(self, held: Claim, findings: Findings) -> int:
        lost = len(held.rows) - saves.save(self.engine, held, findings, self._writer())
        if lost:
            log.warning(
                "stage %s: %d of %d rows were no longer held, not saved",
                held.want.step.name,
                lost,
                len(held.rows),
            )
        return lost

    def _stage(self, dataset: Dataset, want: Want) -> _Loaded:
        loaded = self._loaded_for(dataset, want)
        self._recall(
            want, loaded
        )  # most of it; what others save before the claim is learned after it
        return loaded

    def _recall(self, want: Want, loaded: _Loaded) -> None:
        if order := want.step.spec.order(want.step.options):
            for taken in saves.taken_since(self.engine, want.dataset_id, loaded.recalled, order):
                loaded.stage.recall(taken)
                loaded.recalled = taken[-1][order.number]

    def _loaded_for(self, dataset: Dataset, want: Want) -> _Loaded:
        """The stage as it is now: one of other options or weights, or of clips that were deleted,
        makes room for it.
        """
        name = (dataset.id, want.step.name)
        needs = stages()[want.step.name].models(want.step.options)
        weights = tuple(
            weights_state(folder_of(need.model, self.settings.model_folder)) for need in needs
        )
        version = (want.pipeline.stages, want.epoch, weights)
        if (found := self._loaded.get(name)) is None or found.version != version:
            stage: Stage[Any, Any] = stages()[want.step.name](
                want.step.options, Context(self.settings, want.pipeline)
            )
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
        root = self.settings.samples
        samples = RemoteArchives(root) if isinstance(root, str) else root
        return [
            as_clip(row, parents[row["video_id"]], samples, _of_clip(held, row["id"]))
            for row in held.rows
        ]


def at_work(engine: Engine) -> list[tuple[Dataset, Pipeline]]:
    """The datasets that are neither paused nor cancelled, with their pipelines."""
    return usable([dataset for dataset in all_datasets(engine) if dataset.state == RUNNING])


def usable(found: Sequence[Dataset]) -> list[tuple[Dataset, Pipeline]]:
    """Datasets with their pipelines; one whose pipeline this version cannot read is left to others,
    and said so.
    """
    pairs = []
    for dataset in found:
        try:
            pairs.append((dataset, pipeline_of(dataset.pipeline_text)))
        except ConfigError as error:
            _say_once(f"dataset {dataset.name} is left alone: {error}")
    return pairs


def _tell_failed(findings: Findings) -> None:
    for row_id, (_, message) in findings.failed.items():
        with about(row=row_id):
            log.info("failed: %s", message)


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
        raise ServiceError(
            what=f"Stage {stage.name}", why=f"{type(error).__name__}: {error}"
        ) from error


def as_video(row: Mapping[str, Any]) -> Video:
    """A row of `videos` as stages see it."""
    return Video(row["id"], row["dataset_id"], row["path"], row["relpath"], row)


def as_clip(
    row: Mapping[str, Any],
    video: Video,
    samples: Path | RemoteArchives,
    tables: Mapping[str, Sequence[Mapping[str, Any]]],
) -> Clip:
    """A row of `clips` as stages see it, with its rows of other tables."""
    base = Fraction(video["time_base_num"] or 1, video["time_base_den"] or 1)
    span = (row["start_pts"], row["end_pts"], base)
    return Clip(row["id"], row["dataset_id"], row["clip_index"], video, *span, row, samples, tables)


def _of_clip(held: Claim, clip_id: int) -> dict[str, Sequence[Mapping[str, Any]]]:
    return {name: rows.get(clip_id, ()) for name, rows in held.tables.items()}


def _cap_memory(step: StageStep) -> None:
    """Let allocations fail beyond memory_mb, so that a greedy decoder raises instead of filling the
    host.
    """
    if step.options.queue != "ascend":  # the runtime of an accelerator maps far more than it uses
        _limit_memory(step.options.memory_mb << 20)


def _lift_memory_cap() -> None:
    _limit_memory(None)


def _limit_memory(wanted: int | None) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    soft = (
        hard if wanted is None else wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    )
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
