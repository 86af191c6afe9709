"""`curate sql`: queries answer, and nothing that is not a query does anything, on both engines."""

from __future__ import annotations

import itertools
import sqlite3
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from sqlalchemy import create_engine, text

from curate.configs.errors import ConfigError, ReaderMissing, ServiceError, SqlFailed, SqlRefused, SqlTimeout
from curate.db import usersql
from curate.db.reader import ensure_reader, reader_login
from curate.db.usersql import Result, check_statement, run_query, run_unchecked
from tests.servers import Postgres

SHORT = 0.5  # seconds, for statements that would go on
SECRET = "what the file says"


def _fill(url: str) -> None:
    engine = create_engine(url)
    key = "INTEGER PRIMARY KEY" if url.startswith("sqlite") else "SERIAL PRIMARY KEY"
    with engine.begin() as connection:
        if url.startswith("sqlite"):
            connection.execute(text("PRAGMA journal_mode = WAL"))
        connection.execute(text(f"CREATE TABLE clips (id {key}, flow FLOAT, codec TEXT, vector {_blob(url)})"))
        values = {"flow": 0.5, "codec": "é%", "vector": b"\x00\xff"}
        for _ in range(30):
            connection.execute(text("INSERT INTO clips (flow, codec, vector) VALUES (:flow, :codec, :vector)"), values)
        if not url.startswith("sqlite"):
            assert ensure_reader(connection) == ""
    engine.dispose()


def _blob(url: str) -> str:
    return "BLOB" if url.startswith("sqlite") else "BYTEA"


@pytest.fixture(scope="module")
def sqlite_filled(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = f"sqlite:///{tmp_path_factory.mktemp('db with space')}/my %41#.db"
    _fill(url)
    return url


@pytest.fixture(scope="module")
def postgres_filled(postgres: Postgres) -> Iterator[str]:
    with postgres.database() as url:
        _fill(url)
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(f"{request.param}_filled"))


def content(url: str) -> list[Any]:
    """All that a statement could have changed in the database."""
    engine = create_engine(url)
    tables = "SELECT name FROM sqlite_master" if url.startswith("sqlite") else "SELECT relname FROM pg_class"
    queries = ["SELECT * FROM clips ORDER BY id", f"{tables} ORDER BY 1"]
    if not url.startswith("sqlite"):
        queries += ["SELECT last_value FROM clips_id_seq", "SELECT count(*) FROM pg_largeobject_metadata"]
        queries += [
            "SELECT rolname, rolsuper FROM pg_roles ORDER BY 1",
            "SELECT name, setting FROM pg_file_settings",
        ]
    with engine.connect() as connection:
        found = [connection.execute(text(q)).all() for q in queries]
    engine.dispose()
    return found


# ---- queries


def test_values_of_all_types_come_back(url: str) -> None:
    found = run_query(url, "SELECT id, flow, codec, vector, NULL AS none FROM clips ORDER BY id LIMIT 1", 10)
    assert found == Result(["id", "flow", "codec", "vector", "none"], [[1, 0.5, "é%", b"\x00\xff", None]], False)


@pytest.mark.parametrize(
    ("statement", "value"),
    [
        ("SELECT count(*) FROM clips", 30),
        ("SELECT count(*) FROM clips WHERE codec LIKE '%\\%' ESCAPE '\\'", 30),
        ("SELECT 1;", 1),
        ("SELECT 1 -- the end", 1),
        ("VALUES (1)", 1),
        ("WITH a AS (SELECT 1 AS x) SELECT x FROM a", 1),
        ("SELECT 1 UNION ALL SELECT 1 ORDER BY 1", 1),
        ("SELECT row_number() OVER (ORDER BY id) FROM clips", 1),
        (
            "SELECT CASE WHEN avg(flow) > 0.4 THEN 1 ELSE 2 END FROM clips GROUP BY codec HAVING count(*) > 1",
            1,
        ),
        ("SELECT ':x' || '$1'", ":x$1"),
        ("SELECT 'DROP TABLE clips; --'", "DROP TABLE clips; --"),
        (
            "SELECT x.flow FROM clips AS x JOIN clips AS y ON x.id = y.id WHERE x.id IN (SELECT id FROM clips)",
            0.5,
        ),
    ],
)
def test_queries_answer(statement: str, value: object, url: str) -> None:
    assert run_query(url, statement, 10).rows[0][0] == value


def test_postgres_types_without_a_counterpart_are_text_or_numbers(postgres_filled: str) -> None:
    found = run_query(
        postgres_filled,
        "SELECT 1.5::numeric, DATE '2020-01-02', ARRAY[1, 2], '{\"a\": 1}'::jsonb, 'NaN'::float",
        10,
    )
    assert found.rows[0][:4] == [1.5, "2020-01-02", [1, 2], {"a": 1}]


def test_equal_column_names_are_kept(url: str) -> None:
    assert run_query(url, "SELECT 1 AS a, 2 AS a", 10).columns == ["a", "a"]


@pytest.mark.parametrize(("max_rows", "truncated"), [(0, True), (29, True), (30, False), (31, False), (None, False)])
def test_rows_are_counted(max_rows: int | None, truncated: bool, url: str) -> None:
    found = run_query(url, "SELECT id FROM clips ORDER BY id", 10, max_rows)
    assert found.truncated is truncated
    assert found.rows == [[i + 1] for i in range(30 if max_rows is None else min(max_rows, 30))]


def test_more_rows_than_are_fetched_at_once(url: str) -> None:
    joined = "SELECT x.id * 30 + y.id FROM clips AS x, clips AS y ORDER BY 1"
    assert [r[0] for r in run_query(url, joined, 10).rows] == list(range(31, 931))


def test_no_rows_still_have_columns(url: str) -> None:
    assert run_query(url, "SELECT id FROM clips WHERE flow > 1", 10) == Result(["id"], [], False)


@pytest.mark.parametrize(
    ("statement", "near"),
    [
        ("SELECT flwo FROM clips", "flow"),
        ("SELECT c.codecs FROM clips AS c", "codec"),
        ("SELECT 1 FROM clip", "clips"),
    ],
)
def test_a_wrong_name_is_told_with_the_nearest_right_one(statement: str, near: str, url: str) -> None:
    with pytest.raises(SqlFailed, match=rf"did you mean {near}\?"):
        run_query(url, statement, 10)


def test_sqlite_that_is_being_written_to_can_be_queried(sqlite_filled: str) -> None:
    """A run goes on while its owner looks at it."""
    writer = sqlite3.connect(create_engine(sqlite_filled).url.database or "", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    assert run_query(sqlite_filled, "SELECT count(*) FROM clips", 10).rows == [[30]]
    writer.execute("ROLLBACK")
    writer.close()


@pytest.mark.parametrize(
    "broken", ["sqlite:///{}/none.db", "sqlite://", "nonsense", "postgresql://u:hush@127.0.0.1:1/x"]
)
def test_no_database_is_a_service_error_without_the_password(broken: str, tmp_path: Path) -> None:
    with pytest.raises(ServiceError) as caught:
        run_query(broken.format(tmp_path), "SELECT 1", 10)
    assert "hush" not in str(caught.value)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("nothing of the kind" * 100)
    with pytest.raises(ServiceError, match="not a database"):
        run_query(f"sqlite:///{tmp_path / 'x.db'}", "SELECT 1 FROM x", 10)


# ---- the first fence: what the statement is


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("", "it is empty"),
        (" ; ", "it is empty"),
        ("SELECT 1; SELECT 2", "holds 2 statements"),
        ("SELECT 1; DROP TABLE clips", "holds 2 statements"),
        ("DROP TABLE clips", "not a query but DROP"),
        ("DELETE FROM clips", "not a query but DELETE"),
        ("UPDATE clips SET flow = 1", "not a query but UPDATE"),
        ("INSERT INTO clips VALUES (1)", "not a query but INSERT"),
        ("CREATE TABLE x (a INT)", "not a query but CREATE"),
        ("CREATE TABLE x AS SELECT * FROM clips", "not a query but CREATE"),
        ("ALTER TABLE clips ADD COLUMN x INT", "not a query but ALTER"),
        ("ATTACH 'x.db' AS x", "not a query but ATTACH"),
        ("PRAGMA writable_schema = ON", "not a query but PRAGMA"),
        ("VACUUM", "not a query but VACUUM"),
        ("EXPLAIN SELECT 1", "not a query but EXPLAIN"),
        ("BEGIN", "not a query but BEGIN"),
        ("COMMIT", "not a query but COMMIT"),
        ("SET x = 1", "not a query but SET"),
        ("COPY clips TO PROGRAM 'x'", "refused"),
        ("DO $$ BEGIN END $$", "refused"),
        ("SELEC 1", "refused"),
        ("SELECT 'x", "not closed"),
        ("SELECT * INTO x FROM clips", "INTO makes a table"),
        ("WITH a AS (DELETE FROM clips RETURNING *) SELECT * FROM a", "DELETE in it"),
        ("WITH a AS (SELECT 1) DELETE FROM clips", "not a query but DELETE"),
        ("SELECT 1\x00", "a character"),
        ("SELECT '\ud800'", "a character"),
        ("SELECT " + "(" * 3000 + "1" + ")" * 3000, "nested too deeply"),
        ("-- a comment\nDROP TABLE clips", "not a query but DROP"),
        ("(SELECT 1); VACUUM", "holds 2 statements"),
        ("SELECT 1 " * 3000, "at most 20000"),
    ],
)
def test_what_is_not_one_select_is_refused(statement: str, why: str, dialect: str) -> None:
    with pytest.raises(SqlRefused) as caught:
        check_statement(statement, dialect)
    assert why in str(caught.value)


def test_locking_rows_is_refused() -> None:
    with pytest.raises(SqlRefused, match="lock rows"):
        check_statement("SELECT * FROM clips FOR UPDATE", "postgres")


# ---- the second fence: what the engine lets it do, with the first one away

SQLITE_HOSTILE = {
    "DELETE FROM clips": SqlRefused,
    "UPDATE clips SET flow = 9": SqlRefused,
    "INSERT INTO clips (flow) VALUES (9)": SqlRefused,
    "REPLACE INTO clips (id, flow) VALUES (1, 9)": SqlRefused,
    "WITH a AS (SELECT 1) DELETE FROM clips": SqlRefused,
    "DELETE FROM clips RETURNING id": SqlRefused,
    "DROP TABLE clips": SqlRefused,
    "ALTER TABLE clips ADD COLUMN x": SqlRefused,
    "CREATE TABLE x (a)": SqlRefused,
    "CREATE TEMP TABLE x AS SELECT * FROM clips": SqlRefused,
    "CREATE VIEW v AS SELECT 1": SqlRefused,
    "CREATE VIRTUAL TABLE v USING fts5(a)": SqlRefused,
    "SELECT 1; DELETE FROM clips": SqlRefused,
    "ATTACH '{folder}/new.db' AS x": SqlRefused,
    "ATTACH '{secret}' AS x": SqlRefused,
    "PRAGMA writable_schema = ON": SqlRefused,
    "PRAGMA query_only = OFF": SqlRefused,
    "PRAGMA journal_mode = DELETE": SqlRefused,
    "SELECT * FROM pragma_database_list": SqlRefused,
    "SELECT * FROM pragma_journal_mode": SqlRefused,
    "VACUUM": SqlRefused,
    "VACUUM INTO '{folder}/copy.db'": ConfigError,
    "BEGIN IMMEDIATE": SqlRefused,
    "SAVEPOINT x": SqlRefused,
    "REINDEX": SqlRefused,
    "ANALYZE": SqlRefused,
    "SELECT load_extension('{secret}')": SqlRefused,
    "SELECT readfile('{secret}')": SqlFailed,
    "SELECT writefile('{folder}/new', 'x')": SqlFailed,
    "SELECT fts3_tokenizer('x')": ConfigError,
    "SELECT printf('%.*c', 900000000, 'x')": SqlRefused,
    "SELECT format('%.*c', 900000000, 'x')": SqlRefused,
    "SELECT zeroblob(1000000000)": SqlRefused,
    "SELECT hex(randomblob(1000000000))": SqlRefused,
    "SELECT replace(replace(replace('aaaaaaaa', 'a', '{long}'), 'a', '{long}'), 'a', '{long}')": SqlFailed,
    "WITH RECURSIVE a(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM a) SELECT count(*) FROM a": SqlTimeout,
    "SELECT count(*) FROM clips a, clips b, clips c, clips d, clips e, clips f, clips g": SqlTimeout,
    "SELECT group_concat(a.codec || '{long}') FROM clips a, clips b, clips c, clips d, clips e, clips f": SqlTimeout,
    # one call of a function that takes hours: the engine cannot stop it, the kill does
    "SELECT instr(replace('{long}', 'a', '{short}{short}'), replace('{long}', 'a', '{short}') || 'b')": SqlTimeout,
}  # fmt: skip

POSTGRES_HOSTILE = {
    "DELETE FROM clips": SqlFailed,
    "INSERT INTO clips (flow) VALUES (9)": SqlFailed,
    "TRUNCATE clips": SqlFailed,
    "WITH a AS (DELETE FROM clips RETURNING *) SELECT * FROM a": SqlRefused,
    "SELECT * INTO x FROM clips": ConfigError,
    "CREATE TEMP TABLE x (a INT)": SqlFailed,
    "DROP TABLE clips": SqlFailed,
    "SELECT 1; DELETE FROM clips": SqlRefused,
    "SELECT 1; COMMIT; DROP TABLE clips": SqlRefused,
    "COMMIT": SqlFailed,
    "RESET SESSION AUTHORIZATION": SqlFailed,
    "EXPLAIN ANALYZE DELETE FROM clips": SqlFailed,
    "COPY clips TO PROGRAM 'cat > {folder}/new'": SqlFailed,
    "COPY clips FROM PROGRAM 'cat {secret}'": SqlFailed,
    "COPY (SELECT 1) TO '{folder}/new'": SqlFailed,
    "DO $$ BEGIN RESET ROLE; DELETE FROM clips; END $$": SqlFailed,
    "DO $$ BEGIN LOOP BEGIN PERFORM pg_sleep(9); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END $$": SqlFailed,  # noqa: E501
    "CREATE FUNCTION f() RETURNS INT LANGUAGE sql AS 'SELECT 1'": SqlFailed,
    "SELECT * FROM clips FOR UPDATE": SqlRefused,
    "SELECT nextval('clips_id_seq')": SqlRefused,
    "SELECT setval('clips_id_seq', 99)": SqlRefused,
    "SELECT pg_read_file('{secret}')": SqlRefused,
    "SELECT pg_read_binary_file('{secret}')": SqlRefused,
    "SELECT * FROM pg_ls_dir('{folder}')": SqlRefused,
    "SELECT lo_import('{secret}')": SqlRefused,
    "SELECT lo_from_bytea(0, 'x')": ConfigError,
    "SELECT * FROM pg_authid": SqlRefused,
    "SELECT pg_reload_conf()": SqlRefused,
    "SELECT set_config('transaction_read_only', 'off', false)": ConfigError,
    "SELECT set_config('role', 'postgres', false)": ConfigError,
    "SELECT set_config('session_authorization', 'postgres', false)": ConfigError,
    "SELECT set_config('role', 'none', true), query_to_xml('SELECT pg_read_file(''{secret}'')', true, false, '')": SqlRefused,  # noqa: E501
    "SELECT query_to_xml('DELETE FROM clips RETURNING id', true, false, '')": ConfigError,
    "SELECT query_to_xml('COPY clips TO PROGRAM ''touch {folder}/new''', true, false, '')": ConfigError,
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename <> current_user": ConfigError,
    "SELECT dblink('dbname=postgres', 'DELETE FROM clips')": SqlFailed,
    "SELECT pg_sleep(60)": SqlTimeout,
    "SELECT set_config('statement_timeout', '0', false), pg_sleep(60)": SqlTimeout,
    "SELECT pg_advisory_lock(7), pg_sleep(60)": SqlTimeout,
    "SELECT count(*) FROM generate_series(1, 1000000000000)": SqlTimeout,
    "WITH RECURSIVE a(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM a WHERE x < 2000000000) SELECT count(*) FROM a": SqlTimeout,  # noqa: E501
    "SELECT repeat('x', 300000000)": ConfigError,
    "SELECT repeat('x', 2000000000)": SqlFailed,
}  # fmt: skip


def _attack(url: str, template: str, expected: type[ConfigError], folder: Path) -> None:
    secret = folder / "secret"
    secret.write_text(SECRET)
    secret.chmod(0o644)
    folder.chmod(0o777)
    statement = template.format(folder=folder, secret=secret, long="a" * 4000, short="a" * 1000)
    before = content(url)
    with pytest.raises(expected) as caught:
        run_unchecked(url, statement, SHORT if expected is SqlTimeout else 60)
    assert SECRET not in str(caught.value)
    assert content(url) == before
    assert [f.name for f in folder.iterdir()] == ["secret"]


@pytest.mark.parametrize("statement", SQLITE_HOSTILE)
def test_sqlite_lets_nothing_happen(
    statement: str, sqlite_filled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usersql, "_KILL_GRACE_SECONDS", 1)
    (tmp_path / "files").mkdir()
    _attack(sqlite_filled, statement, SQLITE_HOSTILE[statement], tmp_path / "files")


@pytest.fixture
def open_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the user of the server could read and write, if its login could."""
    folder = tmp_path_factory.mktemp("files")
    for parent in itertools.takewhile(lambda p: p != Path(tempfile.gettempdir()), folder.parents):
        parent.chmod(parent.stat().st_mode | 0o011)
    return folder


@pytest.mark.parametrize("statement", POSTGRES_HOSTILE)
def test_postgres_lets_nothing_happen(statement: str, postgres_filled: str, open_folder: Path) -> None:
    _attack(postgres_filled, statement, POSTGRES_HOSTILE[statement], open_folder)


def test_the_files_of_these_tests_can_be_read_by_who_may(postgres: Postgres, open_folder: Path) -> None:
    """Otherwise the tests above would pass for the wrong reason."""
    (open_folder / "secret").write_text(SECRET)
    (open_folder / "secret").chmod(0o644)
    open_folder.chmod(0o777)
    with psycopg.connect(postgres.url("postgres").replace("+psycopg", "")) as connection:
        row = connection.execute("SELECT pg_read_file(%s)", (str(open_folder / "secret"),)).fetchone()
        connection.execute(f"COPY (SELECT 1) TO PROGRAM 'cat > {open_folder}/new'".encode())
    assert row == (SECRET,)
    assert (open_folder / "new").exists()


def test_memory_is_limited(sqlite_filled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usersql, "_MEMORY_BYTES", 200 << 20)
    giant = "SELECT a.codec || '{}' || f.id FROM clips a, clips b, clips c, clips d, clips e, clips f ORDER BY random()"
    with pytest.raises(SqlFailed, match="200 MB of memory"):
        run_unchecked(sqlite_filled, giant.format("x" * 90_000), 60)


def test_a_large_result_is_stopped(sqlite_filled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usersql, "_MAX_RESULT_BYTES", 10_000)
    with pytest.raises(SqlFailed, match="add a LIMIT"):
        run_query(sqlite_filled, "SELECT 1 FROM clips a, clips b, clips c", 10)
    assert len(run_query(sqlite_filled, "SELECT 1 FROM clips a, clips b", 10).rows) == 900


def test_no_process_is_left(sqlite_filled: str) -> None:
    for statement in ("SELECT 1", "DROP TABLE clips"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(usersql, "check_statement", lambda *_: None)
            try:
                run_query(sqlite_filled, statement, 10)
            except SqlRefused:
                assert statement != "SELECT 1"
    assert [p for p in psutil.Process().children() if "usersql" in " ".join(p.cmdline())] == []


def test_the_password_is_in_no_argument_list(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []

    class Recorded(subprocess.Popen[bytes]):
        def __init__(self, argv: list[str], **options: Any) -> None:
            started.append(argv)
            super().__init__(argv, **options)

    monkeypatch.setattr(subprocess, "Popen", Recorded)
    with pytest.raises(ConfigError), postgres.database() as url:
        _fill(url)
        run_query(url.replace("postgres@", "postgres:hush@"), "SELECT * FROM pg_authid", 10)
    assert len(started) == 1
    assert "hush" not in str(started)


# ---- the login on Postgres


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
    with pytest.raises(ReaderMissing, match=r"asked_owner is none.*asked_owner_reader cannot log in"):
        run_query(url, "SELECT 1", 10)
    postgres.execute("CREATE ROLE asked_eyes LOGIN PASSWORD 'hush'")
    postgres.execute("GRANT SELECT ON clips TO asked_eyes", "asked_owner")
    eyes = postgres.url("asked_owner", "asked_eyes:hush")
    assert run_query(eyes, "SELECT session_user, count(*) FROM clips", 10).rows == [["asked_eyes", 0]]


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


def test_a_killed_child_ends_its_work_in_the_server(postgres: Postgres, postgres_filled: str) -> None:
    """With the engine's time limit away, the kill must not leave a server process at work."""
    done = threading.Event()

    def ask() -> None:
        with pytest.raises(ConfigError):
            run_unchecked(postgres_filled, "SELECT 'endless', pg_sleep(300)", 300)
        done.set()

    thread = threading.Thread(target=ask)
    thread.start()
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    with psycopg.connect(postgres.url("postgres").replace("+psycopg", ""), autocommit=True) as connection:
        while connection.execute(query).fetchone() == (0,) and not done.is_set():
            pass
        child = next(p for p in psutil.Process().children() if "usersql" in " ".join(p.cmdline()))
        child.kill()
        thread.join()
        for _ in range(200):
            connection.execute("SELECT pg_sleep(0.05)")
            if connection.execute(query).fetchone() == (0,):
                break
        else:
            pytest.fail("the server process still sleeps")
