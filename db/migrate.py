"""Brings a database to the schema of this version, through the migrations in db/migrations."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine, inspect, text

import curate
from curate.configs.errors import SchemaNewer, SchemaOutdated
from curate.db.engine import is_sqlite, reading, writing
from curate.db.schema import metadata
from curate.db.views import make_views

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0021"  # the newest migration; a test compares it with the folder
_ONE_AT_A_TIME = threading.Lock()  # Alembic keeps its context in global variables
_LOCK = 0x63757261  # any number, the same on every host: an advisory lock while migrating


def current(engine: Engine) -> str | None:
    """The schema version of the database; None when it is empty."""
    with reading(engine) as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def ensure(engine: Engine) -> None:
    """Create the schema in an empty database. Raises SchemaOutdated, SchemaNewer when it is of
    another version.
    """
    version = current(engine)
    if version is None:
        upgrade(engine)
    elif version != HEAD:
        refuse_newer(engine, version)
        raise SchemaOutdated(database=engine.url.render_as_string(), found=version, needed=HEAD)


def refuse_newer(engine: Engine, version: str | None) -> None:
    """Raise SchemaNewer for a schema that this version does not know; migrations are numbered."""
    if version and version > HEAD:
        database = engine.url.render_as_string()
        raise SchemaNewer(database=database, found=version, known=HEAD, version=curate.__version__)


def upgrade(engine: Engine) -> None:
    """Apply every migration that the database does not have yet, and make its view; safe to call
    from several hosts at once.

    Raises SchemaNewer.
    """
    refuse_newer(engine, current(engine))
    if is_sqlite(engine) and _made_at_once(engine):
        return
    from alembic import command

    config = alembic_config()
    with _ONE_AT_A_TIME, writing(engine) as connection:
        if not is_sqlite(connection):
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        make_views(connection)


def _made_at_once(engine: Engine) -> bool:
    """Whether the SQLite file was empty, and now has the tables as they are after all migrations.

    Half a second less for each new home, most of it for importing Alembic.
    """
    with writing(engine) as connection:
        if inspect(connection).get_table_names():
            return False
        metadata.create_all(connection)
        versions = "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, "
        key = "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
        connection.execute(text(versions + key))
        connection.execute(text("INSERT INTO alembic_version VALUES (:head)"), {"head": HEAD})
        make_views(connection)
    return True


def alembic_config() -> Config:
    """Alembic's settings: the folder of migrations beside this file."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config
