"""What every command needs: settings, the database, a dataset with its pipeline. All of it made
when asked for.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from curate.cli.output import Talk
from curate.configs.errors import NoDatasets, ServiceError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from curate.configs.pipeline import Pipeline
    from curate.configs.settings import Settings
    from curate.db.datasets import Dataset


@dataclass
class Session:
    """The global options of this call, and what they lead to."""

    home: Path | None = None
    verbose: bool = False
    quiet: bool = False

    @cached_property
    def talk(self) -> Talk:
        """Where remarks go."""
        return Talk(self.quiet)

    @cached_property
    def settings(self) -> Settings:
        """Flags over environment over defaults. Raises ConfigError."""
        from curate.configs.settings import load_settings

        return load_settings(home=self.home)

    @property
    def has_database(self) -> bool:
        """Whether there is a database file; a server is always taken to have one."""
        from sqlalchemy import make_url

        url = make_url(self.settings.database)
        return url.get_backend_name() != "sqlite" or Path(url.database or "").exists()

    def make_home(self) -> Path:
        """The home folder, made when there is none. Raises ServiceError when it cannot be written
        to.
        """
        folder = self.settings.folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            why = "" if os.access(folder, os.W_OK | os.X_OK) else "it cannot be written to"
        except OSError as error:
            why = error.strerror or str(error)
        if why:
            why = f"{why}. Name another one with --home or CURATE_HOME"
            raise ServiceError(what=f"The home folder {folder}", why=why)
        return folder

    def make_database(self) -> Engine:
        """The database, made when there is none. Raises ServiceError, SchemaOutdated."""
        from curate.db import migrate
        from curate.db.engine import make_engine

        if not self.settings.database_url:
            self.make_home()
        engine = make_engine(self.settings.database)
        if migrate.current(engine) is None:
            migrate.upgrade(engine)
            make_reader(engine)  # where it may not, curate sql says what to do
        migrate.ensure(engine)
        return engine

    def open_database(self) -> Engine:
        """The database, which must be there. Raises NoDatasets, ServiceError, SchemaOutdated."""
        from curate.configs.settings import hide_password
        from curate.db import migrate
        from curate.db.engine import make_engine

        if not self.has_database:
            raise NoDatasets(database=hide_password(self.settings.database))
        engine = make_engine(self.settings.database)
        if migrate.current(engine) is None:
            raise NoDatasets(database=hide_password(self.settings.database))
        migrate.ensure(engine)
        return engine

    def open_dataset(self, name: str | None) -> Opened:
        """A dataset of the database: the one called name, else the newest. Raises UsageError,
        ServiceError.
        """
        from curate.cli.pipeline import pipeline_of
        from curate.db.datasets import pick

        engine = self.open_database()
        dataset = pick(engine, name)
        return Opened(engine, dataset, pipeline_of(dataset))


def make_reader(engine: Engine) -> str:
    """Make the login that curate sql reads with, on Postgres. Returns why it could not be done, or
    an empty text.
    """
    from curate.db.engine import is_sqlite, writing

    if is_sqlite(engine):
        return ""
    from curate.db.readonly.login import ensure_reader

    with writing(engine) as connection:
        return ensure_reader(connection)


@dataclass(frozen=True)
class Opened:
    """A dataset, ready to be asked about."""

    engine: Engine
    dataset: Dataset
    pipeline: Pipeline


def session(ctx: typer.Context) -> Session:
    """The session of this call."""
    found: Any = ctx.find_root().obj
    return found if isinstance(found, Session) else Session()
