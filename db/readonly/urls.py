"""URLs of databases for who only reads: as psycopg takes them, and as psql and Grafana do."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, make_url
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from curate.configs.errors import ServiceError

_LOGIN = {"user", "password", "passfile", "sslpassword", "dbname"}
_HOST = {"host", "hostaddr", "service"}


def connect_arguments(url: URL) -> dict[str, Any]:
    """What psycopg.connect takes to reach the Postgres of a URL as an engine of SQLAlchemy does."""
    make: Any = PGDialect_psycopg
    return dict(make().create_connect_args(url)[1])


def reader_url(url: str) -> str:
    """The URL, password included, of a login that can only read the database of a URL.

    Of Postgres it is one that psql and Grafana take too. Raises ReaderMissing, ServiceError.
    """
    given = make_url(url)
    if given.get_backend_name() == "sqlite":
        file = given.set(
            database=f"file:{quote(given.database or '')}", query={"mode": "ro", "uri": "true"}
        )
        return file.render_as_string().replace("file%3A", "file:", 1)
    import psycopg  # only who has a Postgres has it

    from curate.db.readonly.login import connect_reader

    try:
        with connect_reader(connect_arguments(given), connect_timeout=10) as connection:
            info = connection.info
            user, password, database = info.user, info.password or None, info.dbname
            server = {"host": info.host, "port": str(info.port)}
    except psycopg.OperationalError as error:
        raise ServiceError(what="The database", why=str(error).splitlines()[0]) from None
    query = {k: v for k, v in given.query.items() if k not in _LOGIN}
    if not given.host and not query.keys() & _HOST:
        query |= server
    reader = given.set(
        drivername="postgresql",
        username=user,
        password=password,
        database=database,
        query=query,
    )
    return reader.render_as_string(hide_password=False)
