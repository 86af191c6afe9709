"""What all pages share: the database, which they only read, and its datasets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from sqlalchemy import Engine

from curate.configs.pipeline import Pipeline, parse
from curate.configs.settings import Settings
from curate.db.datasets import Dataset, all_datasets, pick
from curate.tasks.registry import stages


@dataclass(frozen=True)
class ShownDataset:
    """A dataset as it is now, and the database that it is in."""

    engine: Engine  # cannot write
    dataset: Dataset
    pipeline: Pipeline


@dataclass(frozen=True)
class Home:
    """What all pages share.

    `name` is the dataset that is shown first. `command` turns words into a command line that runs
    as printed; `advise` does so with the commands in a text, for the dataset of the given name.
    """

    engine: Engine  # cannot write
    settings: Settings
    name: str
    command: Callable[..., str]
    advise: Callable[[str, str], str]
    patient: Engine | None = None  # like `engine`, with time to read all rows of a dataset

    def open(self, name: str = "") -> ShownDataset:
        """A dataset by name, or the one that is shown first, with the filters that it has now.

        Raises NoSuchDataset, NoDatasets, ConfigError, ServiceError.
        """
        dataset = pick(self.engine, name or self.name)
        return ShownDataset(self.engine, dataset, _pipeline_of(dataset))

    def names(self) -> list[str]:
        """The names of all datasets, oldest first."""
        return [dataset.name for dataset in all_datasets(self.engine)]


@lru_cache(maxsize=32)
def _pipeline_of(dataset: Dataset) -> Pipeline:
    return parse(dataset.frozen, stages(), f"the pipeline of dataset {dataset.name}")
