"""The database and the datasets in it, as commands open them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, make_url

from curate.cli.shared.pipelines import pipeline_of
from curate.cli.shared.session import Session
from curate.configs import errors
from curate.configs.errors import BeingDeleted, NoDatasets, UsageError
from curate.configs.names import did_you_mean
from curate.configs.pipeline import Pipeline
from curate.configs.schema import DELETING
from curate.configs.settings import Settings, hide_password
from curate.db import migrate
from curate.db.datasets import Dataset, pick
from curate.db.engine import is_sqlite, make_engine, writing
from curate.db.reports.failures import reasons
from curate.tasks.storage.locations import home_text


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


def make_database(session: Session) -> Engine:
    """The database, made unless it exists. Raises ServiceError, SchemaOutdated."""
    if not session.settings.database_url:
        session.make_home()
    engine = make_engine(session.settings.database, home=home_text(session.settings))
    if migrate.current(engine) is None:
        migrate.upgrade(engine)
        make_reader(engine)  # where it may not be made, curate sql says what to do
    migrate.ensure(engine)
    return engine


def open_database(session: Session) -> Engine:
    """The database, which must exist. Raises NoDatasets, ServiceError, SchemaOutdated."""
    settings = session.settings
    if not has_database(settings):
        raise NoDatasets(database=hide_password(settings.database))
    engine = make_engine(settings.database, home=home_text(settings))
    if migrate.current(engine) is None:
        raise NoDatasets(database=hide_password(settings.database))
    migrate.ensure(engine)
    return engine


def open_dataset(session: Session, name: str | None) -> OpenDataset:
    """The dataset called `name`, or the newest one. Raises UsageError, ServiceError."""
    engine = open_database(session)
    dataset = pick(engine, name)
    session.dataset = dataset.name
    refuse_deleting(dataset)
    return OpenDataset(engine, dataset, pipeline_of(dataset))


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


def known_stage(opened: OpenDataset, stage: str | None) -> str | None:
    """The stage of a --stage option. Raises UsageError for one that the dataset does not have."""
    if stage and stage not in opened.stage_names:
        names = ", ".join(opened.stage_names)
        near = did_you_mean(stage, opened.stage_names)
        has = f"dataset {opened.name} has the stages {names}"
        raise UsageError(what=f"--stage {stage}{near}: {has}")
    return stage


def known_error(opened: OpenDataset, error: str | None) -> str | None:
    """The class of an --error option. Raises UsageError for one that no row can have failed with.

    Plugins have classes of their own, which are known from the rows alone.
    """
    if not error:
        return error
    failed = reasons(opened.engine, opened.dataset.id)
    classes = (c for c in vars(errors).values() if isinstance(c, type))
    known = {c.__name__ for c in classes if issubclass(c, errors.RowError)} | set(failed)
    if error not in known:
        near = did_you_mean(error, known)
        found = f"rows of {opened.name} failed with {', '.join(failed)}"
        nothing = f"no row of {opened.name} failed"
        raise UsageError(what=f"--error {error}{near}: {found if failed else nothing}")
    return error
