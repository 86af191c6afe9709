"""The process of a statement: little memory, no large result, no trace of itself or a password."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import Any

import psutil
import psycopg
import pytest

from curate.configs.errors import ConfigError, SqlFailed, SqlRefused
from curate.db.readonly import query
from curate.db.readonly.query import run_query, run_unchecked
from tests.db.readonly.filled import fill
from tests.servers import Postgres


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_it_starts_without_sqlalchemy(engine: str) -> None:
    """Which takes four fifths of the time of a small statement."""
    code = f"import sys; from curate.db.readonly import child, {engine}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"sqlalchemy", "alembic", "pydantic"} & set(done.stdout.split())


def test_memory_is_limited(sqlite_filled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query, "_MEMORY_BYTES", 200 << 20)
    giant = (
        "SELECT a.codec || '{}' || f.id FROM clips a, clips b, clips c, clips d, clips e, clips f "
        "ORDER BY random()"
    )
    with pytest.raises(SqlFailed, match="200 MB of memory"):
        run_unchecked(sqlite_filled, giant.format("x" * 90_000), 60)


def test_a_large_result_is_stopped(sqlite_filled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query, "_MAX_RESULT_BYTES", 10_000)
    with pytest.raises(SqlFailed, match="add a LIMIT"):
        run_query(sqlite_filled, "SELECT 1 FROM clips a, clips b, clips c", 10)
    assert len(run_query(sqlite_filled, "SELECT 1 FROM clips a, clips b", 10).rows) == 900


def test_no_process_is_left(sqlite_filled: str) -> None:
    for statement in ("SELECT 1", "DROP TABLE clips"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(query, "check_statement", lambda *_: None)
            try:
                run_query(sqlite_filled, statement, 10)
            except SqlRefused:
                assert statement != "SELECT 1"
    assert [p for p in psutil.Process().children() if "db.readonly" in " ".join(p.cmdline())] == []


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
    asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    with psycopg.connect(
        postgres.url("postgres").replace("+psycopg", ""), autocommit=True
    ) as connection:
        while connection.execute(asleep).fetchone() == (0,) and not done.is_set():
            pass
        child = next(
            p for p in psutil.Process().children() if "db.readonly" in " ".join(p.cmdline())
        )
        child.kill()
        thread.join()
        for _ in range(200):
            connection.execute("SELECT pg_sleep(0.05)")
            if connection.execute(asleep).fetchone() == (0,):
                break
        else:
            pytest.fail("the server process still sleeps")
