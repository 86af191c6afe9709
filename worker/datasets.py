"""The datasets that workers work on, each with its pipeline."""

from __future__ import annotations

import json
import logging
from functools import cache, lru_cache

from sqlalchemy import Engine

from curate.configs.errors import ConfigError
from curate.configs.pipeline import Pipeline, parse
from curate.db.datasets import Dataset, all_datasets
from curate.tasks.registry import stages

log = logging.getLogger(__name__)


@lru_cache(maxsize=256)
def pipeline_of(frozen: str) -> Pipeline:
    """The pipeline of a dataset from its frozen JSON text. Raises ConfigError."""
    return parse(json.loads(frozen), stages(), "the dataset's pipeline")


def readable_datasets(engine: Engine, *states: str) -> dict[int, tuple[Dataset, Pipeline]]:
    """The datasets in these states (none given: in any), each with its pipeline, by id.

    Those whose pipeline this version cannot read are left out, and the log names each once; workers
    of another version may serve them.
    """
    pairs = {}
    for dataset in all_datasets(engine):
        if states and dataset.state not in states:
            continue
        try:
            pairs[dataset.id] = dataset, pipeline_of(dataset.pipeline_text)
        except ConfigError as error:
            _warn_once(f"dataset {dataset.name} is skipped: {error}")
    return pairs


_warn_once = cache(log.warning)
