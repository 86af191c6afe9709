"""`curate sql`: the login on Postgres that may read and do nothing else."""

from __future__ import annotations

import pytest
from sqlalchemy import create_engine, text

from curate.configs.errors import ReaderMissing, ServiceError
from curate.db.readonly.login import ensure_reader, reader_login
from curate.db.readonly.query import run_query
from tests.servers import Postgres


def test_the_readers_password_is_derived_and_its_name_fits() -> None:
    assert reader_login("curate", "") == ("curate_reader", "")
    name, password = reader_login("é" * 40, "hush")
    assert len(name.encode()) <= 63
    assert name.endswith("é_reader")
    assert "hush" not in password
    assert password != reader_login("é" * 40, "other")[1]


def _login(postgres: Postgres, name: str, options: str) -> str:
    """A login that owns a database of its name; returns its URL."""
    postgres.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'hush' {options}")
    postgres.execute(f"CREATE DATABASE {name} OWNER {name}")
    return postgres.url(name, f"{name}:hush")


def _prepare(url: str) -> str:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE clips (flow FLOAT)"))
        why = ensure_reader(connection)
        connection.execute(text("CREATE TABLE later (x INT)"))
        assert ensure_reader(connection) == why  # again, as after each migration
    engine.dispose()
    return why


def test_a_login_that_may_create_logins_makes_its_reader(postgres: Postgres) -> None:
    url = _login(postgres, "asked_maker", "CREATEROLE")
    assert _prepare(url) == ""
    assert run_query(url, "SELECT session_user", 10).rows == [["asked_maker_reader"]]
    assert run_query(url, "SELECT count(*) FROM later", 10).rows == [[0]]
    wrong = postgres.url("asked_maker", "asked_maker_reader:hush")
    with pytest.raises(ServiceError, match="password authentication failed"):
        run_query(wrong, "SELECT 1", 10)


def test_a_login_that_may_not_create_logins_needs_a_reader(postgres: Postgres) -> None:
    url = _login(postgres, "asked_owner", "")
    assert _prepare(url) == "the login asked_owner may not create the login asked_owner_reader"
    with pytest.raises(
        ReaderMissing, match=r"asked_owner is none.*asked_owner_reader cannot log in"
    ):
        run_query(url, "SELECT 1", 10)
    postgres.execute("CREATE ROLE asked_eyes LOGIN PASSWORD 'hush'")
    postgres.execute("GRANT SELECT ON clips TO asked_eyes", "asked_owner")
    eyes = postgres.url("asked_owner", "asked_eyes:hush")
    assert run_query(eyes, "SELECT session_user, count(*) FROM clips", 10).rows == [
        ["asked_eyes", 0]
    ]


@pytest.mark.parametrize(
    ("grant", "why"),
    [
        ("GRANT INSERT ON clips TO {}", "write to clips"),
        ("GRANT UPDATE (flow) ON clips TO {}", "write to clips"),
        ("GRANT pg_read_server_files TO {}", "belongs to pg_read_server_files"),
        ("GRANT pg_signal_backend TO {}", "belongs to pg_signal_backend"),
        ("GRANT postgres TO {}", "may change other logins"),
        ("ALTER ROLE {} CREATEROLE", "may change other logins"),
    ],
)
def test_a_login_that_may_do_more_is_no_reader(
    grant: str, why: str, postgres: Postgres, postgres_filled: str, request: pytest.FixtureRequest
) -> None:
    name = f"more{abs(hash(grant))}"
    database = postgres_filled.split("@/")[1].split("?")[0]
    postgres.execute(f"CREATE ROLE {name} LOGIN NOINHERIT")
    request.addfinalizer(lambda: postgres.execute(f"DROP ROLE {name}"))
    request.addfinalizer(lambda: postgres.execute(f"DROP OWNED BY {name}", database))
    postgres.execute("GRANT SELECT ON clips TO " + name, database)
    assert run_query(postgres.url(database, name), "SELECT 1", 10).rows == [[1]]
    postgres.execute(grant.format(name), database)
    with pytest.raises(ReaderMissing, match=why):
        run_query(postgres.url(database, name), "SELECT 1", 10)
