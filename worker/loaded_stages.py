"""Keeps stages loaded in this process, each for one form of its dataset's pipeline."""

from __future__ import annotations

import dataclasses
import logging
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine

from curate.configs.errors import CurateError, ServiceError
from curate.configs.pipeline import Pipeline, StageStep
from curate.configs.schema import Order
from curate.configs.settings import Settings
from curate.db.datasets import Dataset, add_columns
from curate.db.fits import newest_fit, read_fit
from curate.db.queue.ordered import taken_since
from curate.tasks.models.catalog import folder_of
from curate.tasks.models.model_cache import weights_state
from curate.tasks.registry import stages
from curate.tasks.servers.server_stage import ServerStage
from curate.tasks.stage import Context, Count, Fit, Stage, count_nothing
from curate.worker.gate import Permits, SharedGate
from curate.worker.outcomes import as_row_error

log = logging.getLogger(__name__)

MOST_LOADED = 32  # stages; curate.tasks.models keeps the models, each once per process


@dataclass
class LoadedStage:
    """A stage that is ready to run."""

    stage: Stage[Any, Any]
    version: tuple[object, ...]  # the pipeline, epoch, weights and fit that it was made for
    gate: SharedGate | None = None  # of a stage that asks servers
    is_slow: bool = True  # whether a full batch takes long, by the last one if there was any
    recalled: int = 0  # the number of the last row that an ordered stage has recalled

    def recall(self, engine: Engine, dataset_id: int, order: Order) -> None:
        """Tell an ordered stage which rows any process has taken since the last call.

        Raises DiskFull.
        """
        for rows in taken_since(engine, dataset_id, self.recalled, order):
            # ends it here, then some of the rows are remembered: the stage is loaded anew
            version, self.version = self.version, ()
            try:
                self.stage.recall(rows)
            except OSError as error:  # a stage may keep what it remembers in a file
                raise as_row_error(self.stage, error) from error
            self.version, self.recalled = version, rows[-1][order.number]


class LoadedStages:
    """The stages that this process has loaded, at most MOST_LOADED: the least recently used go.

    `loaded` has them by the dataset's id and the stage's name.
    """

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        count: Count = count_nothing,
        permits: Permits | None = None,
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._count = count
        self._permits = permits or Permits(engine, settings.lease_seconds)
        self.loaded: OrderedDict[tuple[int, str], LoadedStage] = OrderedDict()

    def get(self, dataset: Dataset, pipeline: Pipeline, step: StageStep) -> LoadedStage:
        """The loaded stage; it is loaded anew when the pipeline or its weights have changed.

        An ordered stage is also loaded anew with a new epoch, because it remembers clips; and one
        that is fitted, when the dataset has a newer fit.
        Raises ServiceError, with the reason, when the stage cannot be loaded.
        """
        key = (dataset.id, step.name)
        cls = stages()[step.name]
        number = newest_fit(self._engine, dataset.id, cls.fitted) if cls.fitted else None
        weights = tuple(
            weights_state(folder_of(need.model, self._settings.model_folder))
            for need in step.models
        )
        epoch = dataset.epoch if step.order else None
        version = (pipeline.stages, epoch, weights, number)
        loaded = self.loaded.get(key)
        if loaded is None or loaded.version != version:
            fit = None
            if number is not None:
                found = read_fit(self._engine, number)
                fit = Fit(found.id, found.model, found.revision, found.arrays)
            context = Context(self._settings, pipeline, dataset.folder, self._count, fit)
            gate = None
            if issubclass(cls, ServerStage):
                most = cls.max_cost(step.options)
                gate = SharedGate(self._engine, self._permits, dataset.id, step.name, most)
                context = dataclasses.replace(context, gate=gate)
            stage = cls(step.options, context)
            # it may have got new ones since the dataset was enqueued
            add_columns(self._engine, pipeline.columns())
            try:
                stage.load()
            except CurateError:
                raise
            except Exception as error:
                log.warning("stage %s cannot be loaded", step.name, exc_info=error)
                why = f"{type(error).__name__}: {error}"
                raise ServiceError(what=f"Stage {step.name}", why=why) from error
            loaded = self.loaded[key] = LoadedStage(stage, version, gate)
        if loaded.gate:
            loaded.gate.pipeline = dataset.pipeline_text
        self.loaded.move_to_end(key)
        while len(self.loaded) > MOST_LOADED:
            self.loaded.popitem(last=False)
        return loaded
