"""`curate sql` on Postgres: without the first fence, the server lets nothing happen."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import psycopg
import pytest

from curate.configs.errors import ConfigError, SqlFailed, SqlRefused, SqlTimeout
from tests.db.readonly.attack import SECRET, attack
from tests.servers import Postgres

HOSTILE = {
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
    "DO $$ BEGIN LOOP BEGIN PERFORM pg_sleep(9); EXCEPTION WHEN query_canceled THEN NULL; END; "
    "END LOOP; END $$": SqlFailed,
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
    "SELECT set_config('role', 'none', true), query_to_xml('SELECT pg_read_file(''{secret}'')', "
    "true, false, '')": SqlRefused,
    "SELECT query_to_xml('DELETE FROM clips RETURNING id', true, false, '')": ConfigError,
    "SELECT query_to_xml('COPY clips TO PROGRAM ''touch {folder}/new''', true, "
    "false, '')": ConfigError,
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename <> "
    "current_user": ConfigError,
    "SELECT dblink('dbname=postgres', 'DELETE FROM clips')": SqlFailed,
    "SELECT pg_sleep(60)": SqlTimeout,
    "SELECT set_config('statement_timeout', '0', false), pg_sleep(60)": SqlRefused,
    "SELECT pg_advisory_lock(7), pg_sleep(60)": SqlRefused,
    "SELECT pg_try_advisory_lock(7)": SqlRefused,
    "SELECT pg_try_advisory_xact_lock_shared(7, 8)": SqlRefused,
    "SELECT pg_advisory_unlock_all()": SqlRefused,
    "SELECT pg_logical_emit_message(false, 'a', repeat('x', 1000))": SqlRefused,
    "SELECT pg_logical_emit_message(true, 'a', 'b'::bytea)": SqlRefused,
    "SELECT pg_notify('a', 'b')": SqlRefused,
    "SELECT PG_CATALOG . \"pg_notify\" ('a', 'b')": SqlRefused,
    "SELECT U&\"pg\\005fnotify\"('a', 'b')": SqlRefused,
    "SELECT u&\"pg!005fnotify\" UESCAPE '!' ('a', 'b')": SqlRefused,
    "SELECT 1 WHERE EXISTS (SELECT pg_notify/**/('a', 'b'))": SqlRefused,
    "SELECT query_to_xml('SELECT pg_' || 'notify(1, 2)', true, false, '')": SqlRefused,
    "SELECT * FROM ts_stat('SELECT pg_' || 'notify(1, 2)')": SqlRefused,
    "SELECT pg_export_snapshot()": SqlRefused,
    "SELECT lo_create(0), lo_creat(-1)": SqlRefused,
    "SELECT txid_current()": SqlRefused,
    "SELECT pg_current_xact_id()": SqlRefused,
    "SELECT pg_switch_wal()": SqlRefused,
    "SELECT pg_create_restore_point('x')": SqlRefused,
    "SELECT pg_stat_reset()": SqlRefused,
    "SELECT pg_cancel_backend(pid) FROM pg_stat_activity": SqlRefused,
    "SELECT pg_log_backend_memory_contexts(pg_backend_pid())": SqlRefused,
    "SELECT own_notify()": SqlRefused,
    "SELECT own_stable()": SqlRefused,
    "NOTIFY a": SqlFailed,
    "LISTEN a": SqlFailed,
    "LOCK TABLE clips": SqlFailed,
    "SELECT count(*) FROM generate_series(1, 1000000000000)": SqlTimeout,
    "WITH RECURSIVE a(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM a WHERE x < 2000000000) SELECT "
    "count(*) FROM a": SqlTimeout,
    "SELECT repeat('x', 300000000)": ConfigError,
    "SELECT repeat('x', 2000000000)": SqlFailed,
}  # fmt: skip


@pytest.fixture
def open_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the user of the server could read and write, if its login could."""
    folder = tmp_path_factory.mktemp("files")
    for parent in itertools.takewhile(lambda p: p != Path(tempfile.gettempdir()), folder.parents):
        parent.chmod(parent.stat().st_mode | 0o011)
    return folder


@pytest.mark.parametrize("statement", HOSTILE)
def test_postgres_lets_nothing_happen(
    statement: str, postgres_filled: str, open_folder: Path
) -> None:
    attack(postgres_filled, statement, HOSTILE[statement], open_folder)


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
