"""`curate workers` and `curate worker --check`: which workers run on which hosts, and are those of
this host well?
"""

from __future__ import annotations

import re
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from curate.cli import options
from curate.cli.options import Json
from curate.cli.session import Session, session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine

    from curate.db.reports.workers import SeenWorker

CHECK_SECONDS = 10.0


def workers(ctx: typer.Context, as_json: Json = False) -> None:
    """List the workers of all hosts: queue, processes, version of curate, when they were seen, rows
    at work.

    Each gives a sign of life every 10 seconds. state is lost after 45 seconds without one; after an
    hour it is no longer listed. rows at work is a host's, over all of its workers.

    Example:
      curate workers
      curate workers --json
    """
    from curate.cli.output import emit, seconds_shown
    from curate.db.reports.workers import known_workers, leased_by_host

    here = session(ctx)
    engine = here.open_database()
    leased = leased_by_host(engine)
    rows = [
        described(worker) | {"rows_at_work": leased.get(worker.host, 0)}
        for worker in known_workers(engine)
    ]
    columns = (
        "host",
        "name",
        "queue",
        "processes",
        "npu",
        "version",
        "state",
        "seen",
        "rows_at_work",
    )
    if not as_json:
        rows = [row | {"seen": f"{seconds_shown(row['seen_seconds_ago'])} ago"} for row in rows]
    emit(rows, as_json, None if as_json else columns)
    if differ := version_difference(engine):
        here.talk.warn(differ)
    if not rows:
        here.talk.next("curate worker", "curate run VIDEOS -o clips.csv")


def described(worker: SeenWorker) -> dict[str, Any]:
    """A worker as JSON; times are unix seconds."""
    return {
        "host": worker.host, "name": worker.name, "queue": worker.queue, "processes": worker.processes,
        "npu": worker.npu, "version": worker.version, "pid": worker.pid,
        "state": "running" if worker.recent else "lost", "started_at": worker.started_at,
        "seen_at": worker.seen_at, "seen_seconds_ago": round(worker.age, 1),
    }  # fmt: skip


def version_difference(engine: Engine, with_this_host: bool = False) -> str:
    """What to say when versions of curate differ between hosts with workers (and this one), else an
    empty text.
    """
    import curate
    from curate.db.reports.workers import known_workers, version_warning

    mine = (curate.code_version(), socket.gethostname()) if with_this_host else None
    return version_warning(known_workers(engine), mine)


def print_check(here: Session, prefix: str, as_json: bool) -> None:
    """Print whether the workers of this host are well; exits with 4 when they are not."""
    from curate.cli.output import emit_json

    found, problems = looked_at(here, prefix)
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


def looked_at(here: Session, prefix: str) -> tuple[list[SeenWorker], list[str]]:
    """The workers that this host should have, and what is wrong with them."""
    from curate.configs.errors import CurateError
    from curate.db.reports.workers import known_workers
    from curate.worker.broker import broker_url, check_broker
    from curate.worker.heartbeat import answering

    try:
        with _within(CHECK_SECONDS):
            found = kept_by(known_workers(here.open_database(), socket.gethostname()), prefix)
            check_broker(broker_url(here.settings))
            recent = [worker.node for worker in found if worker.recent]
            answered = answering(here.settings, recent) if recent else set()
    except CurateError as error:  # of a database, a schema or a broker
        return [], [str(error)]
    return found, wrong_with(found, answered) or ([] if found else [_nobody(prefix)])


@contextmanager
def _within(seconds: float) -> Iterator[None]:
    """Raise ServiceError when the block takes longer: a server that hangs takes a connection and
    never answers.
    """
    from curate.configs.errors import ServiceError

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
    from curate.configs.schema import QUEUES

    pattern = re.compile(rf"{re.escape(f'{prefix}-' if prefix else '')}({'|'.join(QUEUES)})\d+")
    last = {w.name: w for w in sorted(found, key=lambda w: w.seen_at) if pattern.fullmatch(w.name)}
    return list(last.values())


def wrong_with(found: Sequence[SeenWorker], answered: set[str]) -> list[str]:
    """One line for each worker that is not seen or does not answer."""
    from curate.cli.output import seconds_shown

    problems = []
    for worker in found:
        if not worker.recent:
            problems.append(f"{worker.node} gave no sign of life for {seconds_shown(worker.age)}")
        elif worker.node not in answered:
            problems.append(
                f"{worker.node} (pid {worker.pid}) does not answer a ping; is it stopped or overloaded?"
            )
    return problems


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command(rich_help_panel=options.LOOK)(workers)
