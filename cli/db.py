"""`curate db`: the database made, its schema brought up to date, and the login that others read it
with.
"""

from __future__ import annotations

import typer

from curate.cli import options
from curate.cli.options import Json
from curate.cli.session import Session, make_reader, session

db = typer.Typer(help="Make the database, or bring its schema up to date.", no_args_is_help=True)


@db.command("init")
def init(ctx: typer.Context) -> None:
    """Make the tables; on Postgres also the role that curate sql reads with.

    Example:
      curate db init
    """
    _migrate(session(ctx))


@db.command("reader")
def reader(ctx: typer.Context, as_json: Json = False) -> None:
    """Print the URL of a login that can only read, with its password: for dashboards, notebooks and
    galleries.

    On Postgres it is the login that curate db init made; on SQLite the file, opened read-only.

    Example:
      curate db reader
    """
    from curate.cli.output import emit_json
    from curate.db.readonly.login import reader_url

    here = session(ctx)
    here.open_database()
    url = here.settings.readonly_database_url or reader_url(here.settings.database)
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
    _migrate(session(ctx))


def _migrate(here: Session) -> None:
    from curate.configs.settings import hide_password
    from curate.db import migrate
    from curate.db.engine import make_engine

    engine = make_engine(here.settings.database)
    before = migrate.current(engine)
    migrate.upgrade(engine)
    print(
        f"{hide_password(here.settings.database)}: schema {before or 'none'} → {migrate.current(engine)}"
    )
    why_not = make_reader(engine)
    if why_not:
        here.talk.warn(f"curate sql cannot be used on this database: {why_not}")
    here.talk.next("curate doctor")


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.add_typer(db, name="db", rich_help_panel=options.HOST)
