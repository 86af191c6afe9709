"""`curate worker` and `curate flower`: processes that stay until they are told to stop."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from curate.cli import options
from curate.cli.hosts import print_check, version_difference
from curate.cli.session import Session, session

if TYPE_CHECKING:
    from curate.configs.settings import Settings

log = logging.getLogger(__name__)

TICK_SECONDS = 0.3
LOOPBACK = ("127.0.0.1", "::1", "localhost")
LOCAL_HOSTS = (*LOOPBACK, "")
FLOWER_COLUMNS = "name,state,routing_key,kwargs,result,runtime,worker,retries,exception,received"


def worker(
    ctx: typer.Context,
    queues: Annotated[
        str, typer.Option("--queues", "-Q", help="Queues to serve, separated by commas.")
    ] = "cpu,ascend",
    concurrency: Annotated[
        int | None,
        typer.Option("--concurrency", "-c", min=1, max=1024, help="Processes of cpu, see above."),
    ] = None,
    npus: Annotated[
        str,
        typer.Option(
            "--npus", metavar="0,2,...", help="NPUs to serve ascend with; all of them if left out."
        ),
    ] = "",
    name: Annotated[
        str, typer.Option("--name", "-n", help="Put before the names of the workers: NAME-cpu0.")
    ] = "",
    loglevel: Annotated[str, typer.Option(help="DEBUG, INFO, WARNING or ERROR.")] = "INFO",
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Start nothing; say whether the workers of this host are well."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --check: print JSON.")] = False,
) -> None:
    """Serve queues in the foreground until Ctrl-C or SIGTERM; the log goes to stderr.

    cpu: a process a core, or as many as -c says.
    ascend: a process an NPU, which sees no other one. Without an NPU one
    process computes on the CPU, with all its cores.
    With -Q ascend alone -c is how many NPUs (or processes) to use.

    The first signal lets batches at work finish, the second stops at once.
    Either way nothing is lost.

    --check is for health checks: 0 when the workers that a curate worker of
    this host (and --name) keeps were seen in the last 45 seconds and answer,
    and database and broker do; else 4, with what is wrong.

    Example:
      curate worker
      curate worker -Q cpu -c 8
      curate worker -Q ascend --npus 0,2
      curate worker --check
    """
    here = session(ctx)
    if check:
        print_check(here, name, as_json)
        return
    from curate.tasks.storage.locations import check_clips_writable
    from curate.worker.heartbeat import refuse_rivals
    from curate.worker.processes import plans
    from curate.worker.supervisor import Log, Supervisor

    _check_loglevel(loglevel)
    prefix = f"{name}-" if name else ""
    planned = plans(here.settings, checked_queues(queues), concurrency, checked_npus(npus), prefix)
    refuse_shared_sqlite(here.settings)
    check_clips_writable(here.settings)
    say = _log_here(here, loglevel.upper())
    engine = here.make_database()
    refuse_rivals(engine, planned)
    if differ := version_difference(engine, with_this_host=True):
        log.warning("%s", differ)
    with signals_interrupt():
        try:
            with Supervisor(
                here.settings, engine, planned, Log(None, loglevel.upper())
            ) as supervisor:
                say(f"{'; '.join(map(str, planned))}; Ctrl-C stops")
                _serve(supervisor.tick, say)
        except KeyboardInterrupt:  # the second one, while it stopped
            pass
    say("worker stopped")


def _log_here(here: Session, level: str) -> Callable[[str], None]:
    """Let this process log as its workers do; returns what says a remark, in JSON a line of the log
    too.
    """
    from curate.worker.logs import configure

    configure(here.settings.log_format, level)
    return log.info if here.settings.log_format == "json" else here.talk.say


def _serve(tick: Callable[[], None], say: Callable[[str], None]) -> None:
    try:
        while True:
            tick()
            time.sleep(TICK_SECONDS)
    except KeyboardInterrupt:
        say("stopping when the batches at work are done; once more stops at once")


def _check_loglevel(level: str) -> None:
    from curate.configs.errors import UsageError

    if level.upper() not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise UsageError(what=f"--loglevel {level}: it is DEBUG, INFO, WARNING or ERROR")


def checked_queues(text: str) -> tuple[str, ...]:
    """The queues of a text such as ``cpu,ascend``. Raises UsageError for one that does not exist."""
    from curate.configs.errors import UsageError
    from curate.configs.schema import QUEUES

    asked = tuple(dict.fromkeys(q.strip() for q in text.split(",") if q.strip()))
    wrong = [q for q in asked if q not in QUEUES]
    if wrong or not asked:
        raise UsageError(what=f"--queues {text!r}: the queues are {', '.join(QUEUES)}")
    return asked


def checked_npus(text: str) -> list[int] | None:
    """The numbers of a text such as ``0,2``; None for an empty one. Raises UsageError for what is
    no number.
    """
    from curate.configs.errors import UsageError

    numbers = [n.strip() for n in text.split(",") if n.strip()]
    wrong = [n for n in numbers if not n.isdecimal()]
    if wrong:
        raise UsageError(what=f"--npus {text!r}: {wrong[0]} is not the number of an NPU")
    return [int(n) for n in numbers] or None


def refuse_shared_sqlite(settings: Settings) -> None:
    """Raise ConfigError when workers of other hosts would share a SQLite file, which network disks
    corrupt.
    """
    from urllib.parse import urlsplit

    from curate.configs.errors import ConfigError

    host = urlsplit(settings.broker_url).hostname or ""
    if settings.database.startswith("sqlite") and host not in LOCAL_HOSTS:
        why = f"the broker is on {host}, and SQLite cannot be shared by several hosts; give a postgresql:// URL"
        raise ConfigError(source="CURATE_DATABASE_URL", why=why)


@contextmanager
def signals_interrupt() -> Iterator[None]:
    """SIGTERM does what Ctrl-C does."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def flower(
    ctx: typer.Context,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the web page.")] = 5555,
    address: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Serve Flower, Celery's web page: tasks by stage, workers, queue lengths. Read-only.

    It listens on this host alone. On another address it needs a login, in the environment variable
    FLOWER_BASIC_AUTH=user:password; even then everyone who reaches the port can read /metrics.

    Example:
      curate flower --port 5555
    """
    from curate.worker.broker import EmbeddedBroker, check_broker

    here = session(ctx)
    refuse_open_flower(address, port)
    here.make_home()
    with signals_interrupt(), EmbeddedBroker(here.settings) as broker:
        check_broker(broker.url)
        shown = f"[{address}]" if ":" in address else address
        here.talk.say(f"Flower: http://{shown}:{port}   (Ctrl-C stops it)")
        command, environment = flower_command(address, port), _environment(here.settings)
        code = _wait(subprocess.Popen(command, env=environment))  # noqa: S603
    if code:
        raise typer.Exit(1)


def refuse_open_flower(address: str, port: int = 5555) -> None:
    """Raise UsageError for an address that others can reach, unless FLOWER_BASIC_AUTH asks for a
    login.
    """
    from curate.configs.errors import UsageError

    if address in LOOPBACK or os.environ.get("FLOWER_BASIC_AUTH"):
        return
    raise UsageError(
        what=f"--address {address} can be reached by others. Ask for a login with the environment variable"
        f" FLOWER_BASIC_AUTH=user:password, or keep 127.0.0.1 and use: ssh -L {port}:127.0.0.1:{port} HOST"
    )


def flower_command(address: str, port: int) -> list[str]:
    """What starts Flower."""
    return [
        sys.executable, "-m", "celery", "--quiet", "-A", "curate.worker.app", "flower",
        f"--address={address}", f"--port={port}", "--read-only=True", f"--tasks_columns={FLOWER_COLUMNS}",
    ]  # fmt: skip


def _environment(settings: Settings) -> dict[str, str]:
    return os.environ | settings.environment()


def _wait(process: subprocess.Popen[bytes]) -> int:
    """Wait for a child; on Ctrl-C or SIGTERM end it too. Returns its exit code, 0 when it was told
    to stop.
    """
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
        return 0


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    for command in (worker, flower):
        app.command(rich_help_panel=options.WORK)(command)
