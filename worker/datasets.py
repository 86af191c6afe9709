"""The datasets that workers work on, each with its pipeline."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from functools import cache, lru_cache

from sqlalchemy import Engine

from curate.configs.errors import ConfigError
from curate.configs.pipeline import Pipeline, parse
from curate.configs.schema import RUNNING
from curate.db.datasets import Dataset, all_datasets
from curate.tasks.registry import stages

log = logging.getLogger(__name__)


@lru_cache(maxsize=256)
def pipeline_of(frozen: str) -> Pipeline:
    """The pipeline of a dataset from its frozen JSON text. Raises ConfigError."""
    return parse(json.loads(frozen), stages(), "the dataset's pipeline")


def running_datasets(engine: Engine) -> list[tuple[Dataset, Pipeline]]:
    """The datasets that are neither paused nor cancelled, with their pipelines."""
    return with_pipelines([one for one in all_datasets(engine) if one.state == RUNNING])


def with_pipelines(datasets: Sequence[Dataset]) -> list[tuple[Dataset, Pipeline]]:
    """The datasets with their pipelines, without those whose pipeline this version cannot read.

    The log names each of those once; workers of another version may serve them.
    """
    pairs = []
    for dataset in datasets:
        try:
            pairs.append((dataset, pipeline_of(dataset.pipeline_text)))
        except ConfigError as error:
            _warn_once(f"dataset {dataset.name} is skipped: {error}")
    return pairs


_warn_once = cache(log.warning)
