"""`curate sql`: the login on Postgres that may read and do nothing else."""

from __future__ import annotations

import psycopg
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


BUSY = [
    "pg_logical_emit_message(false, 'a', 'b')",
    "pg_notify('a', 'b')",
    "pg_advisory_lock(1)",
    "pg_try_advisory_xact_lock_shared(1, 2)",
    "pg_export_snapshot()",
    "lo_create(0)",
    "txid_current()",
    "pg_current_xact_id()",
]


def test_the_server_leaves_functions_that_do_more_to_logins_that_write(
    postgres: Postgres, request: pytest.FixtureRequest
) -> None:
    """Whoever logs in as the reader by other means than curate sql cannot call them either."""
    for name in ("asked_writes", "asked_reads"):
        postgres.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'hush'")
        request.addfinalizer(lambda name=name: postgres.execute(f"DROP ROLE {name}"))
    with postgres.database() as url:
        engine = create_engine(url)
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE clips (flow FLOAT)"))
            assert ensure_reader(connection) == ""
            connection.execute(text("GRANT INSERT ON clips TO asked_writes"))
            assert ensure_reader(connection) == ""  # the writer came later
        engine.dispose()
        found = {name: _allowed(url, name) for name in ("asked_writes", "asked_reads")}
        postgres.execute(
            "DROP OWNED BY asked_writes, asked_reads", url.split("@/")[1].split("?")[0]
        )
    assert found == {"asked_writes": BUSY, "asked_reads": []}


def _allowed(url: str, name: str) -> list[str]:
    """Those of the calls that a login may make."""
    login = url.replace("+psycopg", "").replace("postgres@", f"{name}:hush@")
    allowed = []
    with psycopg.connect(login, autocommit=True) as connection:
        for call in BUSY:
            try:
                connection.execute(f"SELECT {call}".encode())
                allowed.append(call)
            except psycopg.errors.InsufficientPrivilege:
                pass
    return allowed
