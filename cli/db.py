"""`curate db`: the database made and brought up to date, and the login that others read it with."""

from __future__ import annotations

import typer

from curate.cli.shared.options import Json
from curate.cli.shared.output import emit_json
from curate.cli.shared.session import Session
from curate.configs.settings import hide_password
from curate.db import migrate
from curate.db.engine import make_engine
from curate.db.readonly.urls import reader_url
from curate.tasks.storage.locations import home_text
from curate.worker.session.database import make_reader, open_database

db = typer.Typer(help="Make the database, or bring its schema up to date.", no_args_is_help=True)


@db.command("init")
def init(ctx: typer.Context) -> None:
    """Make the tables; on Postgres also the role that curate sql reads with.

    Example:
      curate db init
    """
    _migrate(Session.of(ctx))


@db.command("reader")
def reader(ctx: typer.Context, as_json: Json = False) -> None:
    """Print the URL of a login that can only read, with its password: for dashboards, \
notebooks and galleries.

    On Postgres it is the login that curate db init made; on SQLite the file, opened read-only.

    Example:
      curate db reader
    """
    session = Session.of(ctx)
    open_database(session)
    url = session.settings.readonly_database_url or reader_url(session.settings.database)
    url = url.replace("postgresql+psycopg://", "postgresql://")  # which psql and Grafana take
    if as_json:
        emit_json({"url": url})
    else:
        print(url)


@db.command("upgrade")
def upgrade(ctx: typer.Context) -> None:
    """Bring the schema to the version of this curate.

    Example:
      curate db upgrade
    """
    _migrate(Session.of(ctx))


def _migrate(session: Session) -> None:
    url = session.settings.database
    engine = make_engine(url, home=home_text(session.settings))
    before = migrate.current(engine)
    migrate.upgrade(engine)
    after = migrate.current(engine)
    print(f"{hide_password(url)}: schema {before or 'none'} → {after}")
    if why_not := make_reader(engine):
        session.console.warn(f"curate sql cannot be used on this database: {why_not}")
    session.next(("doctor",))
