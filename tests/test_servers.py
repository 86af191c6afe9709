"""The servers that the other tests rely on are real, empty, and gone when the tests are."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis
import s3fs
from sqlalchemy import create_engine, inspect, text

from tests import servers
from tests.pipelines import make_line
from tests.servers import Postgres


def test_each_engine_starts_empty_and_stores(empty_url: str) -> None:
    engine = create_engine(empty_url)
    assert inspect(engine).get_table_names() == []
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t (a text)"))
        connection.execute(text("INSERT INTO t VALUES ('é')"))
    with engine.connect() as connection:
        assert connection.execute(text("SELECT a FROM t")).scalar() == "é"
    engine.dispose()


@pytest.mark.parametrize("time", [1, 2])
def test_redis_is_emptied_between_tests(redis_url: str, time: int) -> None:
    with redis.Redis(unix_socket_path=redis_url.removeprefix("redis+socket://")) as client:
        assert client.dbsize() == 0
        client.set("left", time)


def test_a_dropped_database_is_gone(postgres: Postgres) -> None:
    with postgres.database() as url:
        name = url.split("@/")[1].split("?")[0]
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        postgres.execute("SELECT 1", name)


def put(url: str, statement: str) -> None:
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(statement.encode())


@pytest.fixture
def template(postgres: Postgres) -> Iterator[str]:
    """A database with a table of numbered rows."""
    with postgres.database() as url:
        put(url, "CREATE TABLE alembic_version (version_num TEXT)")
        put(url, "CREATE TABLE t (id INT GENERATED ALWAYS AS IDENTITY, a TEXT)")
        yield url.split("@/")[1].split("?")[0]


INSERT = "INSERT INTO t (a) VALUES ('x'), ('y')"


def test_an_emptied_database_has_no_rows_and_numbers_from_1(
    postgres: Postgres, template: str
) -> None:
    with postgres.emptied(template) as url:
        put(url, INSERT)
    with postgres.emptied(template) as again:
        assert again == url
        put(again, "INSERT INTO t (a) VALUES ('z')")
        with psycopg.connect(again.replace("+psycopg", "")) as connection:
            assert connection.execute("SELECT id, a FROM t").fetchall() == [(1, "z")]


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE t ADD COLUMN b INT", "CREATE INDEX i ON t (a)", "CREATE TABLE u (a INT)",
        "GRANT SELECT ON t TO PUBLIC", "CREATE VIEW v AS SELECT 1 AS a", "DROP TABLE t",
        "INSERT INTO alembic_version VALUES ('2')", "ALTER TABLE t ADD CHECK (a <> '')",
    ],
)  # fmt: skip
def test_a_database_of_which_more_than_rows_changed_is_not_used_again(
    postgres: Postgres, template: str, change: str
) -> None:
    with postgres.emptied(template) as url:
        put(url, change)
    with postgres.emptied(template) as other:
        assert other != url


def test_columns_that_a_dataset_added_are_gone_when_the_database_is_used_again(
    postgres: Postgres, _migrated_postgres: str
) -> None:
    def columns(url: str) -> set[tuple[str, str]]:
        with psycopg.connect(url.replace("+psycopg", "")) as connection:
            asked = "SELECT table_name, column_name FROM information_schema.columns"
            return set(connection.execute(asked).fetchall())

    with postgres.emptied(_migrated_postgres) as url:
        before = columns(url)
        make_line(url, Path(), ["score"])
        assert columns(url) - before == {("clips", "score"), ("clips_view", "score")}
    with postgres.emptied(_migrated_postgres) as again:
        assert again == url
        assert columns(again) == before


def test_a_database_that_a_test_dropped_is_not_used_again(
    postgres: Postgres, template: str
) -> None:
    with postgres.emptied(template) as url:
        postgres.execute(f"DROP DATABASE {url.split('@/')[1].split('?')[0]}")
    with postgres.emptied(template) as other:
        assert other != url


def test_home_is_the_tests_own(home: Path) -> None:
    assert [n for n in os.environ if n.startswith("CURATE_")] == ["CURATE_HOME"]
    assert Path(os.environ["CURATE_HOME"]) == home


def _alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def test_s3_keeps_what_it_was_given_when_it_is_started_again(tmp_path: Path) -> None:
    if servers.weed_program() is None:
        pytest.skip(servers.NO_S3)
    place = servers.S3(tmp_path / "data")
    url = f"s3://{place.bucket}/a"
    told = {"key": place.key, "secret": place.secret, "endpoint_url": place.endpoint}
    with servers.s3_server(place):
        s3fs.S3FileSystem(skip_instance_cache=True, **told).pipe_file(url, b"kept")
    with servers.s3_server(place):
        assert s3fs.S3FileSystem(skip_instance_cache=True, **told).cat_file(url) == b"kept"
    assert not place.ready()


@pytest.mark.parametrize("server", ["redis_server", "postgres_server", "s3_server"])
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks at /proc")
def test_a_server_does_not_outlive_killed_tests(
    server: str, request: pytest.FixtureRequest
) -> None:
    needed = {"postgres_server": "postgres", "redis_server": "redis_url", "s3_server": "s3"}
    request.getfixturevalue(needed[server])  # skips without one
    script = f"""
import psutil, time
from tests import servers
with servers.{server}():
    keeper, = psutil.Process().children()
    folder = keeper.children()[0].cwd()
    print(keeper.pid, keeper.children()[0].pid, folder, flush=True)
    time.sleep(60)
"""
    argv = [sys.executable, "-c", script]
    tests = subprocess.Popen(argv, cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, text=True)
    with tests:
        assert tests.stdout is not None
        keeper, pid, folder = tests.stdout.readline().split()
        assert _alive(int(pid))
        tests.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 20
    while _alive(int(keeper)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _alive(int(pid))
    assert not Path(folder).exists()
