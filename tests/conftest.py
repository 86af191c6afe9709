"""Fixtures for every test: a home folder of its own, and real servers when a test asks for one."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from itertools import compress
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from hypothesis import HealthCheck
from hypothesis import settings as properties

from curate.db import migrate
from curate.db.engine import make_engine
from tests import quick, servers

MIGRATED = migrate.upgrade  # by the migrations themselves
FIRST = "gw0"  # of the processes of pytest-xdist
# a loaded host is slow, and that is no failure; with --hypothesis-profile thorough for a night
for profile, examples in (("usual", 100), ("thorough", 3000)):
    properties.register_profile(
        profile, deadline=None, max_examples=examples, suppress_health_check=[HealthCheck.too_slow]
    )
properties.load_profile("usual")

MEASURED = set[str]()  # functions of which a test was run here


def pytest_addoption(parser: pytest.Parser) -> None:
    """Which broker the whole line is tested on; only the quick tests."""
    parser.addoption("--quick", action="store_true", help="leave out what tests/quick.py says")
    parser.addoption(
        "--broker",
        default="",
        help="Celery URL for test_end_to_end and test_dispatcher; a Redis if left out",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Tell the processes of pytest-xdist, too.

    While tests are collected nothing is garbage, and to look for it takes half of the time. What
    a script starts with `&` ignores SIGINT and SIGQUIT, and so would the programs that tests start
    and stop. Each of those would compile all that it imports, for one or two seconds, where a
    variable of the shell forbids to keep it.
    """
    gc.disable()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    if config.getoption("--quick"):
        os.environ[quick.VARIABLE] = "1"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out the slow files without importing them."""
    return True if config.getoption("--quick") and quick.is_slow(collection_path) else None


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Iterator[None]:
    """Measure what importing runs in the first process only: it is the same in all."""
    name = getattr(session.config, "workerinput", {}).get("workerid", FIRST)
    with coverage_paused(session.config) if name != FIRST else nullcontext():
        return (yield)


def pytest_collection_finish() -> None:
    """Look for garbage from now on, but not among the modules and tests."""
    gc.enable()
    gc.freeze()


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """What `-n auto` means: two processes a core, since tests wait for others; the quick ones wait
    for nobody.
    """
    return (os.cpu_count() or 1) * (1 if config.getoption("--quick") else 2)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests that need a server. Else put the slow files first, the longest before
    the others, so that no process has one left to do at the end.
    """
    if not config.getoption("--quick"):
        items.sort(key=lambda item: quick.turn(item.nodeid.partition("::")[0]))
        return
    needing = [quick.needs_server(item) for item in items]
    config.hook.pytest_deselected(items=list(compress(items, needing)))
    items[:] = [item for item, needs in zip(items, needing, strict=True) if not needs]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Measure the coverage of the first test of a function, for other parameters reach few more
    lines; not where it starts programs, and what runs here has tests of its own.
    """
    function = item.nodeid.partition("[")[0]
    file = function.partition("::")[0]
    programs = quick.turn(file) < quick.QUICK and not file.startswith("tests/tasks/")
    with coverage_paused(item.config) if programs or function in MEASURED else nullcontext():
        MEASURED.add(function)
        return (yield)


@contextmanager
def coverage_paused(config: pytest.Config) -> Iterator[None]:
    """Measure no coverage, under which Python runs at half of its speed."""
    plugin = config.pluginmanager.getplugin("_cov")
    controller = getattr(plugin, "cov_controller", None)  # None without --cov
    if controller:
        controller.pause()
    yield
    if controller:
        controller.resume()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """CURATE_HOME, not yet there. No other CURATE_ variable of the shell reaches a test."""
    for name in [n for n in os.environ if n.startswith("CURATE_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "home"
    monkeypatch.setenv("CURATE_HOME", str(folder))
    return folder


@pytest.fixture(autouse=True)
def _engines_are_closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close the pooled connections of every engine that a test made."""
    made = []

    def remember(*args: Any, **options: Any) -> Any:
        made.append(sqlalchemy.create_engine(*args, **options))
        return made[-1]

    monkeypatch.setattr("curate.db.engine.create_engine", remember)
    yield
    for engine in made:
        engine.dispose()


@pytest.fixture(autouse=True)
def _schema_is_copied(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give an empty SQLite database what all migrations make of it as a copy, a quarter of a second
    faster than by them; not where they are tested.
    """

    def upgrade(engine: sqlalchemy.Engine) -> None:
        if engine.dialect.name == "sqlite" and is_empty(engine):
            file = request.getfixturevalue("_migrated_sqlite")
            empty = sqlite3.connect(str(engine.url.database))
            with closing(sqlite3.connect(file)) as made, closing(empty):
                made.backup(empty)
        else:
            MIGRATED(engine)

    if request.node.path.name != "test_migrate.py":
        monkeypatch.setattr(migrate, "upgrade", upgrade)


def is_empty(engine: sqlalchemy.Engine) -> bool:
    """Whether a database has no tables; made if it is not there."""
    return migrate.current(engine) is None and not sqlalchemy.inspect(engine).get_table_names()


@pytest.fixture(scope="session")
def postgres() -> Iterator[servers.Postgres]:
    """The Postgres of this test process; roles outlive a test, databases do not."""
    if servers.postgres_package() is None:
        pytest.skip(servers.NO_POSTGRES)
    with servers.postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def _migrated_postgres(postgres: servers.Postgres) -> Iterator[str]:
    """The name of a database of the newest schema, which nobody may be connected to."""
    with postgres.database() as url:
        engine = sqlalchemy.create_engine(url)
        MIGRATED(engine)
        engine.dispose()
        yield str(engine.url.database)


@pytest.fixture(scope="session")
def _migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file of the newest schema."""
    file = tmp_path_factory.mktemp("migrated") / "curate.db"
    engine = make_engine(f"sqlite:///{file}")
    MIGRATED(engine)
    engine.dispose()
    return file


@pytest.fixture
def postgres_url(postgres: servers.Postgres, _migrated_postgres: str) -> Iterator[str]:
    """The SQLAlchemy URL of a Postgres database of the newest schema, without rows."""
    with postgres.emptied(_migrated_postgres) as url:
        yield url


@pytest.fixture
def sqlite_url(tmp_path: Path, _migrated_sqlite: Path) -> str:
    """The SQLAlchemy URL of a SQLite file of the newest schema, without rows."""
    return f"sqlite:///{shutil.copy(_migrated_sqlite, tmp_path / 'test.db')}"


@pytest.fixture
def home_database(home: Path, _migrated_sqlite: Path) -> str:
    """The SQLAlchemy URL of the home's own database of the newest schema, without rows."""
    home.mkdir()
    return f"sqlite:///{shutil.copy(_migrated_sqlite, home / 'curate.db')}"


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The SQLAlchemy URL of a database of the newest schema; the test runs once on each engine."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def empty_sqlite_url(tmp_path: Path) -> str:
    """The SQLAlchemy URL of a SQLite file that is not there yet."""
    return f"sqlite:///{tmp_path / 'empty.db'}"


@pytest.fixture
def empty_postgres_url(postgres: servers.Postgres) -> Iterator[str]:
    """The SQLAlchemy URL of an empty Postgres database."""
    with postgres.database() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def empty_url(request: pytest.FixtureRequest) -> str:
    """The SQLAlchemy URL of an empty database; the test runs once on each engine."""
    return str(request.getfixturevalue(f"empty_{request.param}_url"))


@pytest.fixture(scope="session")
def _redis() -> Iterator[str]:
    if servers.redis_program() is None:
        pytest.skip(servers.NO_REDIS)
    with servers.redis_server() as url:
        yield url


@pytest.fixture
def redis_url(_redis: str) -> str:
    """The broker URL of an empty Redis on a unix socket."""
    import redis

    with redis.Redis(unix_socket_path=_redis.removeprefix("redis+socket://")) as client:
        client.flushall()
    return _redis


@pytest.fixture(scope="session")
def _s3() -> Iterator[servers.S3]:
    if servers.weed_program() is None:
        pytest.skip(servers.NO_S3)
    with servers.s3_server() as server:
        yield server


@pytest.fixture
def s3(_s3: servers.S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[servers.S3]:
    """The S3 server of this test process, which the environment leads to."""
    use_s3(monkeypatch, _s3.environment)
    yield _s3
    forget_s3()


@pytest.fixture
def s3_url(s3: servers.S3, tmp_path: Path) -> str:
    """A URL in the bucket below which nothing is."""
    return f"s3://{s3.bucket}/{tmp_path.parent.parent.name}-{tmp_path.parent.name}/{tmp_path.name}"


def use_s3(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    """Let s3:// mean what these variables say, from now on in this process."""
    for name in [n for n in os.environ if n.startswith(("AWS_", "FSSPEC_"))]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    forget_s3()


def forget_s3() -> None:
    """The next use of s3:// looks at the environment again."""
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say it aloud when a part of the tests could not run."""
    missing = {
        servers.NO_POSTGRES: servers.postgres_package(),
        servers.NO_REDIS: servers.redis_program(),
        servers.NO_S3: servers.weed_program(),
    }
    for reason in [r for r, found in missing.items() if found is None]:
        terminalreporter.write_line(f"SKIPPED: {reason}", yellow=True)
