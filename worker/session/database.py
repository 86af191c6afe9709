"""The database and the datasets in it, as commands open them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, make_url

from curate.configs.errors import BeingDeleted, NoDatasets
from curate.configs.pipeline import Pipeline
from curate.configs.schema import DELETING
from curate.configs.settings import Settings, hide_password
from curate.db import migrate
from curate.db.datasets import Dataset, add_columns, all_datasets, pick
from curate.db.engine import is_sqlite, make_engine, writing
from curate.tasks.storage.locations import home_text
from curate.worker.session.home import HomeSession
from curate.worker.session.pipelines import pipeline_of


@dataclass(frozen=True)
class OpenDataset:
    """A dataset with its pipeline and the database that it is in."""

    engine: Engine
    dataset: Dataset
    pipeline: Pipeline

    @property
    def name(self) -> str:
        """The name of the dataset."""
        return self.dataset.name

    @property
    def stage_names(self) -> list[str]:
        """The names of its stages, in order."""
        return [step.name for step in self.pipeline.stages]


def has_database(settings: Settings) -> bool:
    """Whether there is a database file; a server is always taken to have one."""
    url = make_url(settings.database)
    return url.get_backend_name() != "sqlite" or Path(url.database or "").exists()


def make_database(session: HomeSession) -> Engine:
    """The database, made unless it exists. Raises ServiceError, SchemaOutdated."""
    if not session.settings.database_url:
        session.make_home()
    engine = make_engine(session.settings.database, home=home_text(session.settings))
    if migrate.current(engine) is None:
        migrate.upgrade(engine)
        make_reader(engine)  # where it may not be made, curate sql says what to do
    migrate.ensure(engine)
    return engine


def open_database(session: HomeSession) -> Engine:
    """The database, which must exist. Raises NoDatasets, ServiceError, SchemaOutdated."""
    settings = session.settings
    if not has_database(settings):
        raise NoDatasets(database=hide_password(settings.database))
    engine = make_engine(settings.database, home=home_text(settings))
    if migrate.current(engine) is None:
        raise NoDatasets(database=hide_password(settings.database))
    migrate.ensure(engine)
    return engine


def open_dataset(session: HomeSession, name: str | None) -> OpenDataset:
    """The dataset called `name`, or the newest one. Raises UsageError, ServiceError."""
    engine = open_database(session)
    dataset = pick(engine, name)
    session.dataset = dataset.name
    refuse_deleting(dataset)
    (opened,) = _opened(engine, [dataset])
    return opened


def open_all(session: HomeSession) -> list[OpenDataset]:
    """All datasets, in the order in which they were made.

    Raises BeingDeleted where a part of one is gone, NoDatasets, ServiceError.
    """
    engine = open_database(session)
    known = all_datasets(engine)
    for dataset in known:
        refuse_deleting(dataset)
    return _opened(engine, known)


def _opened(engine: Engine, known: Sequence[Dataset]) -> list[OpenDataset]:
    """The datasets, with the columns that stages may have got since they were enqueued."""
    opened = [OpenDataset(engine, dataset, pipeline_of(dataset)) for dataset in known]
    add_columns(engine, {n: c for one in opened for n, c in one.pipeline.columns().items()})
    return opened


def refuse_deleting(dataset: Dataset) -> None:
    """Raise BeingDeleted for a dataset of which a part is gone."""
    if dataset.state == DELETING:
        raise BeingDeleted(name=dataset.name)


def make_reader(engine: Engine) -> str:
    """Make the login that `curate sql` reads with, on Postgres.

    Returns why it could not be made, or an empty text.
    """
    if is_sqlite(engine):
        return ""
    from curate.db.readonly.login import ensure_reader  # psycopg is there for Postgres only

    with writing(engine) as connection:
        return ensure_reader(connection)
