"""`curate worker`: serves queues until it is told to stop; `--check` asks whether the workers of this host are well."""

from __future__ import annotations

import logging
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from curate.cli.shared.database import make_database, open_database
from curate.cli.shared.hosts import described, version_difference
from curate.cli.shared.local_run import refuse_shared_sqlite
from curate.cli.shared.output import emit_json, seconds_shown
from curate.cli.shared.serving import signals_interrupt
from curate.cli.shared.session import Session
from curate.configs.errors import CurateError, ServiceError, UsageError
from curate.configs.schema import QUEUES
from curate.db.reports.workers import known_workers
from curate.tasks.storage.locations import check_clips_writable
from curate.worker.broker import broker_url, check_broker
from curate.worker.heartbeat import answering, refuse_rivals
from curate.worker.logs import configure
from curate.worker.processes import worker_specs
from curate.worker.supervisor import Log, Supervisor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from curate.db.reports.workers import SeenWorker


log = logging.getLogger(__name__)


TICK_SECONDS = 0.3


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
    session = Session.of(ctx)
    if check:
        print_check(session, name, as_json)
        return
    _check_loglevel(loglevel)
    prefix = f"{name}-" if name else ""
    planned = worker_specs(
        session.settings, checked_queues(queues), concurrency, checked_npus(npus), prefix
    )
    refuse_shared_sqlite(session.settings)
    check_clips_writable(session.settings)
    say = _log_here(session, loglevel.upper())
    engine = make_database(session)
    refuse_rivals(engine, planned)
    if differ := version_difference(engine, with_this_host=True):
        log.warning("%s", differ)
    with signals_interrupt():
        try:
            with Supervisor(
                session.settings, engine, planned, Log(None, loglevel.upper())
            ) as supervisor:
                say(f"{'; '.join(map(str, planned))}; Ctrl-C stops")
                _serve(supervisor.tick, say)
        except KeyboardInterrupt:  # the second one, while it stopped
            pass
    say("worker stopped")


def _log_here(session: Session, level: str) -> Callable[[str], None]:
    """Let this process log as its workers do; returns what says a remark, in JSON a line of the log
    too.
    """
    configure(session.settings.log_format, level)
    return log.info if session.settings.log_format == "json" else session.console.say


def _serve(tick: Callable[[], None], say: Callable[[str], None]) -> None:
    try:
        while True:
            tick()
            time.sleep(TICK_SECONDS)
    except KeyboardInterrupt:
        say("stopping when the batches at work are done; once more stops at once")


def _check_loglevel(level: str) -> None:
    if level.upper() not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise UsageError(what=f"--loglevel {level}: it is DEBUG, INFO, WARNING or ERROR")


def checked_queues(text: str) -> tuple[str, ...]:
    """The queues of a text such as ``cpu,ascend``. Raises UsageError for one that does not exist."""
    asked = tuple(dict.fromkeys(q.strip() for q in text.split(",") if q.strip()))
    wrong = [q for q in asked if q not in QUEUES]
    if wrong or not asked:
        raise UsageError(what=f"--queues {text!r}: the queues are {', '.join(QUEUES)}")
    return asked


def checked_npus(text: str) -> list[int] | None:
    """The numbers of a text such as ``0,2``; None for an empty one. Raises UsageError for what is
    no number.
    """
    numbers = [n.strip() for n in text.split(",") if n.strip()]
    wrong = [n for n in numbers if not n.isdecimal()]
    if wrong:
        raise UsageError(what=f"--npus {text!r}: {wrong[0]} is not the number of an NPU")
    return [int(n) for n in numbers] or None


CHECK_SECONDS = 10.0


def print_check(session: Session, prefix: str, as_json: bool) -> None:
    """Print whether the workers of this host are well; exits with 4 when they are not."""
    found, problems = looked_at(session, prefix)
    if as_json:
        emit_json(
            {"ok": not problems, "problems": problems, "workers": [described(w) for w in found]}
        )
    elif not problems:
        print(f"OK: {', '.join(w.node for w in found)}")
    for problem in problems if not as_json else ():
        print(f"FAIL: {problem}")
    if problems:
        raise typer.Exit(4)


def looked_at(session: Session, prefix: str) -> tuple[list[SeenWorker], list[str]]:
    """The workers that this host should have, and what is wrong with them."""
    try:
        with _within(CHECK_SECONDS):
            found = kept_by(known_workers(open_database(session), socket.gethostname()), prefix)
            check_broker(broker_url(session.settings))
            recent = [worker.node for worker in found if worker.recent]
            answered = answering(session.settings, recent) if recent else set()
    except CurateError as error:  # of a database, a schema or a broker
        return [], [str(error)]
    return found, wrong_with(found, answered) or ([] if found else [_nobody(prefix)])


@contextmanager
def _within(seconds: float) -> Iterator[None]:
    """Raise ServiceError when the block takes longer: a server that hangs takes a connection and
    never answers.
    """

    def end(*_: object) -> None:
        raise ServiceError(what="The database or the broker", why=f"no answer within {seconds:g} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _nobody(prefix: str) -> str:
    named = f" with --name {prefix}" if prefix else ""
    return f"no curate worker{named} of {socket.gethostname()} gave a sign of life; see its log, and: curate doctor"


def kept_by(found: Sequence[SeenWorker], prefix: str) -> list[SeenWorker]:
    """Those that a `curate worker` with this --name keeps; of two with one name the one seen last."""
    pattern = re.compile(rf"{re.escape(f'{prefix}-' if prefix else '')}({'|'.join(QUEUES)})\d+")
    last = {w.name: w for w in sorted(found, key=lambda w: w.seen_at) if pattern.fullmatch(w.name)}
    return list(last.values())


def wrong_with(found: Sequence[SeenWorker], answered: set[str]) -> list[str]:
    """One line for each worker that is not seen or does not answer."""
    problems = []
    for worker in found:
        if not worker.recent:
            problems.append(f"{worker.node} gave no sign of life for {seconds_shown(worker.age)}")
        elif worker.node not in answered:
            problems.append(
                f"{worker.node} (pid {worker.pid}) does not answer a ping; is it stopped or overloaded?"
            )
    return problems
