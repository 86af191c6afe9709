"""`curate db`: the schema, and a login for dashboards that reads every table of curate and can do
nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import URL, Engine, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError

from curate.db.engine import make_engine
from curate.db.readonly.urls import reader_url
from curate.db.schema import metadata
from tests.cli.conftest import Call, Filled
from tests.servers import Postgres


def test_db_init_and_upgrade(curate: Call, home: Path) -> None:
    assert "schema none → " in curate("db", "init").out
    assert (home / "curate.db").exists()
    assert curate("db", "upgrade").code == 0


@pytest.fixture
def owner(postgres: Postgres, monkeypatch: pytest.MonkeyPatch, home: Path) -> Iterator[str]:
    """The URL of a login with a password that owns a database, as a user would have it, in the
    environment.
    """
    name = "asked_dash"
    postgres.execute(f"CREATE ROLE {name} LOGIN CREATEROLE PASSWORD 'own-hush'")
    postgres.execute(f"CREATE DATABASE {name} OWNER {name}")
    url = postgres.url(name, f"{name}:own-hush")
    monkeypatch.setenv("CURATE_DATABASE_URL", url)
    yield url
    postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")
    postgres.execute(f"DROP ROLE IF EXISTS {name}_reader")
    postgres.execute(f"DROP ROLE {name}")


@pytest.fixture
def reader(owner: str, curate: Call) -> Iterator[Engine]:
    assert curate("db", "init").code == 0
    result = curate("db", "reader")
    assert result.code == 0, result.err
    assert "own-hush" not in result.out
    engine = make_engine(result.out.strip())
    yield engine
    engine.dispose()


FORBIDDEN = (
    "INSERT INTO datasets (name, root, pipeline, created_at) VALUES ('x', 'x', '[]', 0)",
    "UPDATE clips SET path = NULL",
    "DELETE FROM batches",
    "TRUNCATE workers",
    "DROP TABLE clips",
    "CREATE TABLE mine (x INT)",
    "ALTER TABLE clips ADD COLUMN mine INT",
    "SELECT rolpassword FROM pg_authid",
    "SELECT passwd FROM pg_shadow",
    "SELECT pg_read_file('/etc/passwd')",
    "COPY clips TO PROGRAM 'cat'",
    "CREATE ROLE mine LOGIN",
    "SET ROLE asked_dash",
    "SELECT pg_reload_conf()",
)


def test_it_reads_every_table_and_can_do_nothing_else(reader: Engine) -> None:
    with reader.connect() as connection:
        assert connection.execute(text("SELECT session_user")).scalar_one() == "asked_dash_reader"
        for table in metadata.tables:
            assert connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() == 0
    for statement in FORBIDDEN:
        with (
            pytest.raises(DBAPIError, match=r"permission denied|must be owner|must be superuser"),
            reader.begin() as c,
        ):
            c.execute(text(statement))


def test_tables_that_an_upgrade_adds_are_read_too(reader: Engine, owner: str) -> None:
    engine = create_engine(owner)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE later (x INT)"))
    engine.dispose()
    with reader.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM later")).scalar_one() == 0


def elsewhere(owner: str, told: pytest.MonkeyPatch, folder: Path, how: str) -> str:
    """A URL that names a part of the owner's, with the rest told in another way."""
    given = make_url(owner)
    name, password, host = str(given.username), str(given.password), str(given.query["host"])
    if how == "query":
        login = f"user={name}&password={password}&sslpassword=own-hush"
        return f"postgresql:///{given.database}?host={host}&{login}&connect_timeout=9"
    if how == "environment":
        for variable, value in (("PGHOST", host), ("PGUSER", name), ("PGPASSWORD", password)):
            told.setenv(variable, value)
        return f"postgresql:///{given.database}"
    (folder / "pgpass").write_text(f"*:*:*:{name}:{password}")
    (folder / "pgpass").chmod(0o600)
    told.setenv("PGPASSFILE", str(folder / "pgpass"))
    return f"postgresql://{name}@?host={host}"  # the database is named after the login


@pytest.mark.parametrize("how", ["query", "environment", "pgpass"])
def test_the_reader_belongs_to_the_login_in_force_wherever_it_is_told(
    curate: Call, owner: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, how: str
) -> None:
    """As for curate sql; and psql, which knows no driver, takes the URL where the environment says
    nothing.
    """
    with monkeypatch.context() as told:
        told.setenv("CURATE_DATABASE_URL", elsewhere(owner, told, tmp_path, how))
        assert curate("db", "init").code == 0
        asked = curate("sql", "SELECT session_user", "--json")
        assert (asked.code, "asked_dash_reader" in asked.out) == (0, True), asked.err
        result = curate("db", "reader")
    assert (result.code, "own-hush" in result.out) == (0, False), result.err
    assert result.out.startswith("postgresql://")
    with psycopg.connect(result.out.strip()) as connection:
        assert connection.execute("SELECT session_user, current_database()").fetchone() == (
            "asked_dash_reader",
            "asked_dash",
        )


def test_a_reader_that_is_not_there_is_told(curate: Call, owner: str, postgres: Postgres) -> None:
    assert curate("db", "init").code == 0
    postgres.execute("ALTER ROLE asked_dash_reader NOLOGIN")
    result = curate("db", "reader")
    assert (result.code, "cannot log in" in result.err, "hush" in result.err) == (4, True, False)


def test_the_url_of_a_file_reads_and_does_not_write(curate: Call, filled: Filled) -> None:
    engine = create_engine(curate("db", "reader", "--json").json["url"])
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM clips")).scalar_one() == 7
        with pytest.raises(DBAPIError, match="readonly"):
            connection.execute(text("DELETE FROM clips"))
    engine.dispose()


def test_any_file_name_is_fit_for_the_url(tmp_path: Path) -> None:
    url = URL.create("sqlite", database=str(tmp_path / "my %41#.db"))
    made = create_engine(url)
    with made.begin() as connection:
        connection.execute(text("CREATE TABLE t (x INT)"))
    made.dispose()
    engine = create_engine(reader_url(url.render_as_string()))
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM t")).scalar_one() == 0
    engine.dispose()
    assert [file.name for file in tmp_path.iterdir()] == ["my %41#.db"]
