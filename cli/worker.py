"""`curate worker`: serves queues until it is told to stop.

With --check it says whether the workers of this host are well.
"""

from __future__ import annotations

import logging
import re
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated

import typer

from curate.cli.shared.hosts import version_difference, worker_json
from curate.cli.shared.output import emit_json
from curate.cli.shared.session import Session
from curate.configs.errors import CurateError, ServiceError, UsageError
from curate.configs.schema import QUEUES
from curate.configs.shown import seconds_text
from curate.db.reports.workers import SeenWorker, known_workers
from curate.tasks.storage.locations import check_clips_writable
from curate.worker.broker import broker_url, check_broker
from curate.worker.heartbeat import answering, refuse_rivals
from curate.worker.logs import configure
from curate.worker.processes import WorkerSpec, worker_specs
from curate.worker.session.database import make_database, open_database
from curate.worker.session.running import refuse_shared_sqlite
from curate.worker.session.signals import signals_interrupt, stop_remark
from curate.worker.supervisor import Log, Supervisor

log = logging.getLogger(__name__)

TICK_SECONDS = 0.3
CHECK_SECONDS = 10.0
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")

Concurrency = Annotated[
    int | None,
    typer.Option("--concurrency", "-c", min=1, max=1024, help="Processes of cpu, see above."),
]
Npus = Annotated[
    str,
    typer.Option(
        "--npus", metavar="0,2,...", help="NPUs to serve ascend with; all of them if left out."
    ),
]
Check = Annotated[
    bool,
    typer.Option("--check", help="Start nothing; say whether the workers of this host are well."),
]


def worker(
    ctx: typer.Context,
    queues: Annotated[
        str, typer.Option("--queues", "-Q", help="Queues to serve, separated by commas.")
    ] = "cpu,ascend",
    concurrency: Concurrency = None,
    npus: Npus = "",
    name: Annotated[
        str, typer.Option("--name", "-n", help="Put before the names of the workers: NAME-cpu0.")
    ] = "",
    loglevel: Annotated[str, typer.Option(help="DEBUG, INFO, WARNING or ERROR.")] = "INFO",
    check: Check = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --check: print JSON.")] = False,
) -> None:
    """Serve queues in the foreground until Ctrl-C or SIGTERM; the log goes to stderr.

    cpu: a process a core, or as many as -c says.
    ascend: a process an NPU, which sees no other one. Without an NPU one
    process computes on the CPU, with all its cores.
    With -Q ascend alone -c is how many NPUs (or processes) to use.

    The first signal (SIGHUP and SIGQUIT count too) ends decoding at once and
    lets other batches finish, 30 seconds at most; the second ends all. Either
    way nothing is lost: what was not finished is done again.

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
    if loglevel.upper() not in LOG_LEVELS:
        raise UsageError(what=f"--loglevel {loglevel}: it is DEBUG, INFO, WARNING or ERROR")
    prefix = f"{name}-" if name else ""
    numbers = parse_npus(npus)
    specs = worker_specs(session.settings, parse_queues(queues), concurrency, numbers, prefix)
    _serve(session, specs, loglevel.upper())


def parse_queues(text: str) -> tuple[str, ...]:
    """The queues of a text such as `cpu,ascend`. Raises UsageError for one that does not exist."""
    queues = tuple(dict.fromkeys(q.strip() for q in text.split(",") if q.strip()))
    if not queues or any(q not in QUEUES for q in queues):
        raise UsageError(what=f"--queues {text!r}: the queues are {', '.join(QUEUES)}")
    return queues


def parse_npus(text: str) -> list[int] | None:
    """The numbers of a text such as `0,2`; None for an empty one. Raises UsageError."""
    numbers = [n.strip() for n in text.split(",") if n.strip()]
    wrong = [n for n in numbers if not n.isdecimal()]
    if wrong:
        raise UsageError(what=f"--npus {text!r}: {wrong[0]} is not the number of an NPU")
    return [int(n) for n in numbers] or None


def _serve(session: Session, specs: Sequence[WorkerSpec], level: str) -> None:
    """Keep workers running until a signal comes."""
    settings = session.settings
    refuse_shared_sqlite(settings)
    check_clips_writable(settings)
    configure(settings.log_format, level)
    # a log in JSON has one line of JSON for each remark too
    say = log.info if settings.log_format == "json" else session.console.say
    engine = make_database(session)
    refuse_rivals(engine, specs)
    if warning := version_difference(engine, with_this_host=True):
        log.warning("%s", warning)
    with signals_interrupt():
        try:
            with Supervisor(settings, engine, specs, Log(None, level)) as supervisor:
                say(f"{'; '.join(map(str, specs))}; Ctrl-C stops")
                try:
                    while True:
                        supervisor.tick()
                        time.sleep(TICK_SECONDS)
                except KeyboardInterrupt:
                    supervisor.tell_to_stop()
                    say(stop_remark(supervisor.at_work))
        except KeyboardInterrupt:  # the second one, before it waited
            pass
    say("worker stopped")


def print_check(session: Session, name: str, as_json: bool) -> None:
    """Print whether the workers of this host are well. Exits with 4 unless they are."""
    workers, problems = check_workers(session, name)
    if as_json:
        described = [worker_json(worker) for worker in workers]
        emit_json({"ok": not problems, "problems": problems, "workers": described})
    elif not problems:
        print(f"OK: {', '.join(worker.node for worker in workers)}")
    else:
        print("\n".join(f"FAIL: {session.advise(problem)}" for problem in problems))
    if problems:
        raise typer.Exit(4)


def check_workers(session: Session, name: str) -> tuple[list[SeenWorker], list[str]]:
    """The workers that a `curate worker --name NAME` of this host keeps, and what is wrong."""
    host = socket.gethostname()
    try:
        with _within(CHECK_SECONDS):
            workers = own_workers(known_workers(open_database(session), host), name)
            check_broker(broker_url(session.settings))
            recent = [worker.node for worker in workers if worker.recent]
            answered = answering(session.settings, recent) if recent else set()
    except CurateError as error:  # of a database, a schema or a broker
        return [], [str(error)]
    if not workers:
        named = f" with --name {name}" if name else ""
        sign = f"no curate worker{named} of {host} gave a sign of life"
        return [], [f"{sign}; see its log, and: `curate doctor`"]
    return workers, problems_of(workers, answered)


@contextmanager
def _within(seconds: float) -> Iterator[None]:
    """Raise ServiceError when the block takes longer.

    A server that hangs takes a connection and never answers.
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


def own_workers(workers: Sequence[SeenWorker], name: str) -> list[SeenWorker]:
    """Those that a `curate worker --name NAME` keeps; of two of one name the one seen last."""
    prefix = re.escape(f"{name}-" if name else "")
    pattern = re.compile(rf"{prefix}({'|'.join(QUEUES)})\d+")
    by_age = sorted(workers, key=lambda worker: worker.seen_at)
    return list({w.name: w for w in by_age if pattern.fullmatch(w.name)}.values())


def problems_of(workers: Sequence[SeenWorker], answered: set[str]) -> list[str]:
    """One line for each worker that is not seen or does not answer."""
    problems = []
    for worker in workers:
        if not worker.recent:
            problems.append(f"{worker.node} gave no sign of life for {seconds_text(worker.age)}")
        elif worker.node not in answered:
            process = f"{worker.node} (pid {worker.pid})"
            problems.append(f"{process} does not answer a ping; is it stopped or overloaded?")
    return problems
