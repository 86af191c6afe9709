"""From sources to videos in a dataset: what `run`, `enqueue` and `Home.run` share."""

from __future__ import annotations

import itertools
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Engine

from curate.configs.differences import differences
from curate.configs.errors import NoDatasets, PipelineChanged, ServiceError, UsageError
from curate.configs.pipeline import Pipeline
from curate.configs.shown import counted
from curate.configs.texts import safe_name
from curate.db import datasets
from curate.db.datasets import Dataset, Enqueued
from curate.db.export import check_selection, extra_names
from curate.db.selection import Selection
from curate.tasks.inputs.extensions import TABLE_EXTENSIONS, extension
from curate.tasks.inputs.files import Input, PassedOver, Search, skipped_text
from curate.tasks.inputs.find import find_all_inputs
from curate.tasks.inputs.paths import is_url, to_text
from curate.tasks.inputs.roots import root_of
from curate.tasks.inputs.tables import other_columns
from curate.tasks.registry import stages
from curate.tasks.storage.locations import check_clips_writable
from curate.worker.session.console import Console
from curate.worker.session.database import (
    OpenDataset,
    make_database,
    open_database,
    refuse_deleting,
)
from curate.worker.session.folders import claim_folder, refuse_foreign
from curate.worker.session.gone import gone_below, gone_text
from curate.worker.session.home import HomeSession
from curate.worker.session.pipelines import pipeline_of, resolve
from curate.worker.session.weights import check_models

MOST_DIFFERENCES = 6  # of two pipelines, in a message


@dataclass(frozen=True)
class EnqueueRequest:
    """What is asked for: sources, pipeline file, overrides, dataset name; and what is to
    be written at the end. `report` is called with the inputs found so far.
    """

    sources: Sequence[str]
    config: Path | None = None
    sets: Sequence[str] = ()
    name: str | None = None
    images: bool = False
    selection: Selection | None = None
    report: Callable[[int], None] = lambda found: None

    @property
    def root(self) -> str:
        """The root of the first source, which is that of a new dataset."""
        return root_of(self.sources[0])

    @property
    def roots(self) -> tuple[str, ...]:
        """The roots that a dataset of the first source may have: a file given by name was its own
        before its suffix was known.
        """
        source = self.sources[0]
        itself = source if is_url(source) else to_text(os.path.abspath(source))  # noqa: PTH100
        return itself, self.root

    @property
    def names_pipeline(self) -> bool:
        """Whether it asks for a pipeline, rather than for whatever is in force."""
        return bool(self.config or self.sets)


@dataclass
class EnqueueReport:
    """What an enqueue found: counts, and what it passed over."""

    counts: Enqueued
    passed_over: PassedOver = field(default_factory=PassedOver)
    skipped: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, counts: Enqueued, passed_over: PassedOver, pipeline: Pipeline) -> EnqueueReport:
        """The report of an enqueue: files that stages read beside videos are not skipped."""
        beside = {e for s in pipeline.stages for e in stages()[s.name].reads_beside(s.options)}
        return cls(counts, passed_over, passed_over.skipped(beside))

    def __str__(self) -> str:
        counts, duplicates = self.counts, self.passed_over.duplicates
        parts = [f"{counts.new} new", f"{counts.changed} changed", f"{counts.unchanged} unchanged"]
        parts += [f"{duplicates} named twice"] if duplicates else []
        return f"found {counts.found}: {', '.join(parts)}{gone_text(counts.gone)}"

    def remarks(self) -> list[str]:
        """A line for each kind of file that was left out, or joined without being asked."""
        lines = [line for line in [skipped_text(self.skipped)] if line]
        if self.counts.left_out:
            lines.append(f"{counted(self.counts.left_out, 'picture')} left out; add --images")
        if self.counts.gone:
            videos = counted(self.counts.gone, "video")
            lines.append(
                f"{videos} of this dataset gone; what was found in them stays. To give it up:"
                " `curate prune DATASET --gone`"
            )
        lines += [f"{p} holds no video: its pictures join" for p in self.passed_over.only_pictures]
        lines += [f"{path} is curate's own: not entered" for path in self.passed_over.own]
        return lines

    def tell(self, console: Console, name: str) -> None:
        """Say what was found for the dataset of this name, and warn of what was passed over."""
        console.say("\n".join([f"dataset {name}: {self}", *self.remarks()]))
        for line in self.warnings():
            console.warn(line)

    def warnings(self) -> list[str]:
        """A line for each folder that could not be listed."""
        return [f"{path} was passed over: {why}" for path, why in self.passed_over.unreadable]


def enqueue_videos(
    session: HomeSession, request: EnqueueRequest
) -> tuple[OpenDataset, EnqueueReport]:
    """Put the videos of a request into their dataset, which is made unless it exists.

    A dataset keeps the pipeline it was made with; without --config and --set that one goes on.
    Raises PipelineChanged when another one is asked for, NoInput, ConfigError, ServiceError; and
    UsageError or FilterError when what is to be written cannot be. Then nothing was made.
    """
    existing = existing_database(session)
    chosen = choose(datasets.all_datasets(existing) if existing else [], request)
    pipeline = pipeline_for(chosen, request)
    check_models(pipeline, session.settings.model_folder)
    check_clips_writable(session.settings)
    inputs, passed_over = find_inputs(session, request)
    if request.selection:
        tables = [s for s in request.sources if extension(s) in TABLE_EXTENSIONS]
        extras = [name for table in tables for name in other_columns(table)]
        if existing and isinstance(chosen, Dataset):
            extras += extra_names(existing, chosen.id)
        check_selection(pipeline, request.selection, extras)
    of = chosen if isinstance(chosen, Dataset) else Dataset(0, chosen, "", "", folder=chosen)
    refuse_foreign(session.settings, of)
    # from here on things are made; whatever is wrong with the request has been reported
    engine = existing or make_database(session)
    if isinstance(chosen, str):
        chosen, pipeline = _create(engine, chosen, request, pipeline)
    claim_folder(session.settings, chosen)
    counts = datasets.enqueue(engine, chosen, inputs, pipeline)
    opened = OpenDataset(engine, chosen, pipeline)
    session.dataset = chosen.name
    counts.gone = max(counts.gone, gone_below(opened, request.sources, counts.found))
    return opened, EnqueueReport.of(counts, passed_over, pipeline)


def preview(session: HomeSession, request: EnqueueRequest) -> tuple[str, Pipeline, EnqueueReport]:
    """What an enqueue would do: the dataset's name, its pipeline, the counts. Writes nothing."""
    engine = existing_database(session)
    chosen = choose(datasets.all_datasets(engine) if engine else [], request)
    pipeline = pipeline_for(chosen, request)
    check_models(pipeline, session.settings.model_folder)
    inputs, passed_over = find_inputs(session, request)
    if isinstance(chosen, str) or engine is None:
        joining = Counter(not one.only_known for one in inputs)
        counts, name = Enqueued(new=joining[True], left_out=joining[False]), str(chosen)
    else:
        counts = datasets.enqueue(engine, chosen, inputs, pipeline, dry_run=True)
        opened = OpenDataset(engine, chosen, pipeline)
        known = counts.changed + counts.unchanged
        counts.gone = max(counts.gone, gone_below(opened, request.sources, known))
        name = chosen.name
    return name, pipeline, EnqueueReport.of(counts, passed_over, pipeline)


def find_inputs(
    session: HomeSession, request: EnqueueRequest
) -> tuple[Iterator[Input], PassedOver]:
    """The inputs of a request, and what is passed over on the way to them. Raises NoInput."""
    passed_over = PassedOver()
    settings = session.settings
    kept = ("logs", "broker", "curate.db", "curate.db-wal", "curate.db-shm")
    own = [settings.clips, settings.samples, settings.model_folder]
    own += [settings.folder / name for name in kept]
    search = Search(request.images, frozenset(map(str, own)))
    found = find_all_inputs(request.sources, passed_over, search)
    return counting(found, request.report), passed_over


def counting(inputs: Iterable[Input], report: Callable[[int], None]) -> Iterator[Input]:
    """The inputs, each counted as it comes."""
    for number, item in enumerate(inputs, 1):
        report(number)
        yield item


def existing_database(session: HomeSession) -> Engine | None:
    """The database with its datasets; None where there is none yet."""
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
    refuse_deleting(chosen)
    if not request.names_pipeline:
        return pipeline_of(chosen)
    requested = resolve(request.config, request.sets).pipeline
    # the frozen text has no options that stages have got since
    differs = differences(pipeline_of(chosen).frozen(), requested.frozen())
    if differs:
        more = len(differs) - MOST_DIFFERENCES
        told = [*differs[:MOST_DIFFERENCES], *([f"{more} more"] if more > 0 else [])]
        raise PipelineChanged(source="given", name=chosen.name, what=", ".join(told))
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
    same = next((d for root in request.roots for d in existing if d.root == root), None)
    if same:
        return same
    taken = {d.name for d in existing}
    base = base_name(request.root)
    names = itertools.chain([base], (f"{base}-{n}" for n in itertools.count(2)))
    return next(n for n in names if n not in taken)


def check_name(name: str, option: str = "--name") -> None:
    """Raise UsageError for a dataset name that is not safe as the name of a folder."""
    if safe_name(name) != name or len(name) > 100:
        what = f"{option} {name!r}: use letters, digits, '.', '_' and '-', at most 100"
        raise UsageError(what=what)


def base_name(root: str) -> str:
    """The name that a root suggests for its dataset: letters, digits, `.`, `_` and `-`."""
    last = ([p for p in re.split(r"[/:]+", root) if p] or ["videos"])[-1]
    if extension(last) in TABLE_EXTENSIONS:
        last = last[: -len(extension(last))]
    return safe_name(last) or "videos"
