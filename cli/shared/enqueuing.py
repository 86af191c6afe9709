"""From the sources on a command line to videos in a dataset: what `run` and `enqueue` share."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Engine

from curate.cli.shared.database import OpenDataset, make_database, open_database
from curate.cli.shared.pipelines import pipeline_of, resolve
from curate.cli.shared.session import Session
from curate.cli.shared.weights import check_models
from curate.configs.differences import differences
from curate.configs.errors import NoDatasets, PipelineChanged, ServiceError, UsageError
from curate.configs.pipeline import Pipeline
from curate.db import datasets
from curate.db.datasets import Dataset, Enqueued
from curate.tasks.inputs.extensions import TABLE_EXTENSIONS, extension
from curate.tasks.inputs.files import PassedOver
from curate.tasks.inputs.find import find_all_inputs
from curate.tasks.inputs.roots import root_of
from curate.tasks.storage.locations import check_clips_writable


@dataclass(frozen=True)
class EnqueueRequest:
    """What a command line asks for: sources, pipeline file, overrides, dataset name."""

    sources: Sequence[str]
    config: Path | None = None
    sets: Sequence[str] = ()
    name: str | None = None

    @property
    def root(self) -> str:
        """The root of the first source, which is that of a new dataset."""
        return root_of(self.sources[0])

    @property
    def names_pipeline(self) -> bool:
        """Whether it asks for a pipeline, rather than for whatever is in force."""
        return bool(self.config or self.sets)


@dataclass
class EnqueueReport:
    """What an enqueue found: counts, and what it passed over."""

    counts: Enqueued
    passed_over: PassedOver = field(default_factory=PassedOver)

    def __str__(self) -> str:
        counts, duplicates = self.counts, self.passed_over.duplicates
        parts = [f"{counts.new} new", f"{counts.changed} changed", f"{counts.unchanged} unchanged"]
        parts += [f"{duplicates} named twice"] if duplicates else []
        return f"found {counts.found}: {', '.join(parts)}"

    def warnings(self) -> list[str]:
        """A line for each folder that could not be listed."""
        return [f"{path} was passed over: {why}" for path, why in self.passed_over.unreadable]


def enqueue_videos(session: Session, request: EnqueueRequest) -> tuple[OpenDataset, EnqueueReport]:
    """Put the videos of a request into their dataset, which is made unless it exists.

    A dataset keeps the pipeline it was made with; without --config and --set that one goes on.
    Raises PipelineChanged when another one is asked for, NoInput, ConfigError, ServiceError.
    """
    existing = _existing_database(session)
    chosen = choose(datasets.all_datasets(existing) if existing else [], request)
    pipeline = pipeline_for(chosen, request)
    check_models(pipeline, session.settings.model_folder)
    check_clips_writable(session.settings)
    passed_over = PassedOver()
    inputs = find_all_inputs(request.sources, passed_over)
    # from here on things are made; whatever is wrong with the request has been reported
    engine = existing or make_database(session)
    if isinstance(chosen, str):
        chosen, pipeline = _create(engine, chosen, request, pipeline)
    counts = datasets.enqueue(engine, chosen, inputs, pipeline)
    return OpenDataset(engine, chosen, pipeline), EnqueueReport(counts, passed_over)


def preview(session: Session, request: EnqueueRequest) -> tuple[str, Pipeline, EnqueueReport]:
    """What an enqueue would do: the dataset's name, its pipeline, the counts. Writes nothing."""
    engine = _existing_database(session)
    chosen = choose(datasets.all_datasets(engine) if engine else [], request)
    pipeline = pipeline_for(chosen, request)
    check_models(pipeline, session.settings.model_folder)
    passed_over = PassedOver()
    inputs = find_all_inputs(request.sources, passed_over)
    if isinstance(chosen, str) or engine is None:
        counts = Enqueued(new=sum(1 for _ in inputs))
        return str(chosen), pipeline, EnqueueReport(counts, passed_over)
    counts = datasets.enqueue(engine, chosen, inputs, pipeline, dry_run=True)
    return chosen.name, pipeline, EnqueueReport(counts, passed_over)


def _existing_database(session: Session) -> Engine | None:
    try:
        return open_database(session)
    except NoDatasets:
        return None


def _create(
    engine: Engine, name: str, request: EnqueueRequest, pipeline: Pipeline
) -> tuple[Dataset, Pipeline]:
    """A new dataset, or the one that another process has just made of the same sources."""
    chosen: Dataset | str = name
    while isinstance(chosen, str):
        try:
            return datasets.create(engine, chosen, request.root, pipeline), pipeline
        except ServiceError:
            known = datasets.all_datasets(engine)
            if chosen not in {d.name for d in known}:
                raise
            chosen = choose(known, request)
    return chosen, pipeline_for(chosen, request)


def pipeline_for(chosen: Dataset | str, request: EnqueueRequest) -> Pipeline:
    """The pipeline of a request. Raises PipelineChanged when the dataset has another one."""
    if isinstance(chosen, str):
        return resolve(request.config, request.sets).pipeline
    if not request.names_pipeline:
        return pipeline_of(chosen)
    requested = resolve(request.config, request.sets).pipeline
    differs = differences(chosen.frozen, requested.frozen())
    if differs:
        raise PipelineChanged(source="given", name=chosen.name, what=", ".join(differs))
    return requested


def choose(known: Iterable[Dataset], request: EnqueueRequest) -> Dataset | str:
    """The dataset that a request is about, or the name of a new one.

    --name decides; without it the dataset of the same root, or a new one named after it, with -2,
    -3, … when a dataset of another root has the name. Raises UsageError for an unsafe name.
    """
    existing = list(known)
    if request.name:
        check_name(request.name)
        return next((d for d in existing if d.name == request.name), request.name)
    same = next((d for d in existing if d.root == request.root), None)
    if same:
        return same
    taken = {d.name for d in existing}
    base = base_name(request.root)
    names = itertools.chain([base], (f"{base}-{n}" for n in itertools.count(2)))
    return next(n for n in names if n not in taken)


UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def check_name(name: str) -> None:
    """Raise UsageError for a dataset name that is not safe as the name of a folder."""
    if UNSAFE.search(name) or name.strip("-.") != name or len(name) > 100:
        what = f"--name {name!r}: use letters, digits, '.', '_' and '-', at most 100"
        raise UsageError(what=what)


def base_name(root: str) -> str:
    """The name that a root suggests for its dataset: letters, digits, `.`, `_` and `-`."""
    last = ([p for p in re.split(r"[/:]+", root) if p] or ["videos"])[-1]
    if extension(last) in TABLE_EXTENSIONS:
        last = last[: -len(extension(last))]
    return UNSAFE.sub("-", last).strip("-.") or "videos"
