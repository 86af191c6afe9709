"""From the sources on the command line to videos in a dataset."""

from __future__ import annotations

import glob
import itertools
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from curate.cli.shared.database import OpenDataset, make_database, open_database
from curate.cli.shared.pipelines import Resolved, differences, pipeline_of, resolve
from curate.cli.shared.session import Session
from curate.cli.shared.weights import check_models
from curate.configs.errors import NoDatasets, PipelineChanged, ServiceError, UsageError
from curate.configs.pipeline import Pipeline
from curate.db import datasets
from curate.tasks.inputs.extensions import TABLE_EXTENSIONS, extension, is_media
from curate.tasks.inputs.files import Input, PassedOver
from curate.tasks.inputs.find import find_inputs
from curate.tasks.inputs.paths import is_url, to_text
from curate.tasks.storage.locations import check_clips_writable

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from curate.db.datasets import Dataset, Enqueued


@dataclass(frozen=True)
class EnqueueRequest:
    """What was asked for: sources, pipeline file, overrides, dataset name."""

    sources: Sequence[str]
    config: Path | None = None
    sets: Sequence[str] = ()
    name: str | None = None

    @property
    def root(self) -> str:
        """The root of the first source, which is that of a new dataset."""
        return root_of(self.sources[0])

    @property
    def says_pipeline(self) -> bool:
        """Whether a pipeline was asked for, rather than whatever is in force."""
        return bool(self.config or self.sets)


@dataclass
class Found:
    """What an enqueue found: counts, and what was passed over."""

    counts: Enqueued
    passed_over: PassedOver = field(default_factory=PassedOver)

    def lines(self) -> list[str]:
        """One line of counts."""
        c = self.counts
        line = f"found {c.found}: {c.new} new, {c.changed} changed, {c.unchanged} unchanged"
        return [
            line
            + (
                f", {self.passed_over.duplicates} named twice"
                if self.passed_over.duplicates
                else ""
            )
        ]

    def warnings(self) -> list[str]:
        """Folders that could not be listed."""
        return [f"{path} was passed over: {why}" for path, why in self.passed_over.unreadable]


def root_of(source: str) -> str:
    """The folder, table or URL that a source stands for: that of a file is its folder, so is that
    of a glob.
    """
    place = source.removeprefix("file://")
    if glob.has_magic(place) and not os.path.lexists(place):
        place = os.path.dirname(place[: min(place.find(c) for c in "*?[" if c in place)]) or "."  # noqa: PTH120
    elif is_media(place) and not os.path.isdir(place):  # noqa: PTH112
        place = os.path.dirname(place) or "."  # noqa: PTH120
    return place.rstrip("/") if is_url(place) else to_text(os.path.abspath(place))  # noqa: PTH100  keeps links


_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def base_name(root: str) -> str:
    """The name that a root suggests for its dataset: letters, digits, `.`, `_` and `-`."""
    last = ([p for p in re.split(r"[/:]+", root) if p] or ["videos"])[-1]
    if extension(last) in TABLE_EXTENSIONS:
        last = last[: -len(extension(last))]
    return _UNSAFE.sub("-", last).strip("-.") or "videos"


def choose(known: Iterable[Dataset], request: EnqueueRequest) -> Dataset | str:
    """The dataset that a request is about, or the name of a new one.

    --name decides; without it the dataset of the same root, or a new one named after it, with -2,
    -3, … when a dataset of another root has the name.
    """
    datasets = list(known)
    if request.name:
        check_name(request.name)
        return next((d for d in datasets if d.name == request.name), request.name)
    same = next((d for d in datasets if d.root == request.root), None)
    if same:
        return same
    taken = {d.name for d in datasets}
    base = base_name(request.root)
    names = itertools.chain([base], (f"{base}-{n}" for n in itertools.count(2)))
    return next(n for n in names if n not in taken)


def check_name(name: str) -> None:
    """Raise UsageError for a dataset name that is not safe as the name of a folder."""
    if _UNSAFE.search(name) or name.strip("-.") != name or len(name) > 100:
        raise UsageError(
            what=f"--name {name!r}: use letters, digits, '.', '_' and '-', at most 100"
        )


def inputs_of(request: EnqueueRequest, passed_over: PassedOver) -> Iterator[Input]:
    """The inputs of all sources, each path once. Raises NoInput for a source without any before the
    first.
    """
    opened = []
    for source in request.sources:
        found = find_inputs(source, passed_over)
        opened.append(itertools.chain([next(found)], found))
    if len(opened) == 1:  # find_inputs has seen to it
        return opened[0]
    return _once(itertools.chain(*opened), passed_over)


def _once(found: Iterable[Input], passed_over: PassedOver) -> Iterator[Input]:
    seen: set[str] = set()
    for one in found:
        if one.path in seen:
            passed_over.duplicates += 1
            continue
        seen.add(one.path)
        yield one


def enqueue(session: Session, request: EnqueueRequest) -> tuple[OpenDataset, Found]:
    """Put the videos of a request into their dataset, which is made when there is none.

    A dataset keeps the pipeline it was made with; without --config and --set that one goes on.
    Raises PipelineChanged when another one is asked for, NoInput, ConfigError, ServiceError.
    """
    existing = _existing(session)
    chosen = choose(datasets.all_datasets(existing) if existing else [], request)
    pipeline = pipeline_for(chosen, request)
    check_models(pipeline, session.settings.model_folder)
    check_clips_writable(session.settings)
    passed_over = PassedOver()
    inputs = inputs_of(request, passed_over)
    # from here on things are made; what is wrong with the request has been told
    engine = existing or make_database(session)
    dataset, pipeline = (
        (chosen, pipeline)
        if not isinstance(chosen, str)
        else _made(engine, chosen, request, pipeline)
    )
    counts = datasets.enqueue(engine, dataset, inputs, pipeline)
    return OpenDataset(engine, dataset, pipeline), Found(counts, passed_over)


def _made(
    engine: Engine, name: str, request: EnqueueRequest, pipeline: Pipeline
) -> tuple[Dataset, Pipeline]:
    """A new dataset; or the one that another process made of the same sources since this one
    looked.
    """
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
    if not request.says_pipeline:
        return pipeline_of(chosen)
    asked: Resolved = resolve(request.config, request.sets)
    differs = differences(chosen.frozen, asked.pipeline.frozen())
    if differs:
        raise PipelineChanged(source="given", name=chosen.name, what=", ".join(differs))
    return asked.pipeline


def look(session: Session, request: EnqueueRequest) -> tuple[str, Pipeline, Found]:
    """What an enqueue would do: the dataset's name, its pipeline, the counts. Writes nothing."""
    engine = _existing(session)
    chosen = choose(datasets.all_datasets(engine) if engine else [], request)
    pipeline = pipeline_for(chosen, request)
    check_models(pipeline, session.settings.model_folder)
    passed_over = PassedOver()
    if isinstance(chosen, str) or engine is None:
        counts = datasets.Enqueued(new=sum(1 for _ in inputs_of(request, passed_over)))
        return str(chosen), pipeline, Found(counts, passed_over)
    counts = datasets.enqueue(
        engine, chosen, inputs_of(request, passed_over), pipeline, dry_run=True
    )
    return chosen.name, pipeline, Found(counts, passed_over)


def _existing(session: Session) -> Engine | None:
    try:
        return open_database(session)
    except NoDatasets:
        return None
