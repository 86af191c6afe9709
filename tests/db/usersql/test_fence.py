"""`curate sql`: with the check of the statement away, the engine lets nothing happen, and its
process is no trace.
"""

from __future__ import annotations

import itertools
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from sqlalchemy import create_engine, text

from curate.configs.errors import ConfigError, SqlFailed, SqlRefused, SqlTimeout
from curate.db.readonly import query as usersql
from curate.db.readonly.query import run_query, run_unchecked
from tests.db.usersql.asked import fill
from tests.servers import Postgres

SHORT = 0.5  # seconds, for statements that would go on
SECRET = "what the file says"


def content(url: str) -> list[Any]:
    """All that a statement could have changed in the database."""
    engine = create_engine(url)
    tables = (
        "SELECT name FROM sqlite_master"
        if url.startswith("sqlite")
        else "SELECT relname FROM pg_class"
    )
    queries = ["SELECT * FROM clips ORDER BY id", f"{tables} ORDER BY 1"]
    if not url.startswith("sqlite"):
        queries += [
            "SELECT last_value FROM clips_id_seq",
            "SELECT count(*) FROM pg_largeobject_metadata",
        ]
        queries += [
            "SELECT rolname, rolsuper FROM pg_roles ORDER BY 1",
            "SELECT name, setting FROM pg_file_settings",
        ]
    with engine.connect() as connection:
        found = [connection.execute(text(q)).all() for q in queries]
    engine.dispose()
    return found


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
    "DO $$ BEGIN LOOP BEGIN PERFORM pg_sleep(9); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END $$": SqlFailed,
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
    "SELECT set_config('role', 'none', true), query_to_xml('SELECT pg_read_file(''{secret}'')', true, false, '')": SqlRefused,
    "SELECT query_to_xml('DELETE FROM clips RETURNING id', true, false, '')": ConfigError,
    "SELECT query_to_xml('COPY clips TO PROGRAM ''touch {folder}/new''', true, false, '')": ConfigError,
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename <> current_user": ConfigError,
    "SELECT dblink('dbname=postgres', 'DELETE FROM clips')": SqlFailed,
    "SELECT pg_sleep(60)": SqlTimeout,
    "SELECT set_config('statement_timeout', '0', false), pg_sleep(60)": SqlTimeout,
    "SELECT pg_advisory_lock(7), pg_sleep(60)": SqlTimeout,
    "SELECT count(*) FROM generate_series(1, 1000000000000)": SqlTimeout,
    "WITH RECURSIVE a(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM a WHERE x < 2000000000) SELECT count(*) FROM a": SqlTimeout,
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
def test_postgres_lets_nothing_happen(
    statement: str, postgres_filled: str, open_folder: Path
) -> None:
    _attack(postgres_filled, statement, POSTGRES_HOSTILE[statement], open_folder)


def test_the_files_of_these_tests_can_be_read_by_who_may(
    postgres: Postgres, open_folder: Path
) -> None:
    """Otherwise the tests above would pass for the wrong reason."""
    (open_folder / "secret").write_text(SECRET)
    (open_folder / "secret").chmod(0o644)
    open_folder.chmod(0o777)
    with psycopg.connect(postgres.url("postgres").replace("+psycopg", "")) as connection:
        row = connection.execute(
            "SELECT pg_read_file(%s)", (str(open_folder / "secret"),)
        ).fetchone()
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


def test_the_password_is_in_no_argument_list(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []

    class Recorded(subprocess.Popen[bytes]):
        def __init__(self, argv: list[str], **options: Any) -> None:
            started.append(argv)
            super().__init__(argv, **options)

    monkeypatch.setattr(subprocess, "Popen", Recorded)
    with pytest.raises(ConfigError), postgres.database() as url:
        fill(url)
        run_query(url.replace("postgres@", "postgres:hush@"), "SELECT * FROM pg_authid", 10)
    assert len(started) == 1
    assert "hush" not in str(started)


def test_a_killed_child_ends_its_work_in_the_server(
    postgres: Postgres, postgres_filled: str
) -> None:
    """With the engine's time limit away, the kill must not leave a server process at work."""
    done = threading.Event()

    def ask() -> None:
        with pytest.raises(ConfigError):
            run_unchecked(postgres_filled, "SELECT 'endless', pg_sleep(300)", 300)
        done.set()

    thread = threading.Thread(target=ask)
    thread.start()
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    with psycopg.connect(
        postgres.url("postgres").replace("+psycopg", ""), autocommit=True
    ) as connection:
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
