"""`curate workers`: the workers of all hosts."""

from __future__ import annotations

import typer

from curate.cli.shared.hosts import version_difference, worker_json
from curate.cli.shared.options import Json
from curate.cli.shared.output import emit
from curate.cli.shared.session import Session
from curate.configs.shown import seconds_text
from curate.db.reports.workers import known_workers, leased_by_host
from curate.worker.session.database import open_database

COLUMNS = ["host", "name", "queue", "processes", "npu", "version", "state", "seen", "rows_at_work"]


def workers(ctx: typer.Context, as_json: Json = False) -> None:
    """List the workers of all hosts: queue, processes, version of curate, when they were seen, rows
    at work.

    Each gives a sign of life every 10 seconds. state is lost after 45 seconds without one; after an
    hour it is no longer listed. rows at work is a host's, over all of its workers, and stands at
    the first of them.

    Example:
      curate workers
      curate workers --json
    """
    session = Session.of(ctx)
    engine = open_database(session)
    seen = known_workers(engine)
    leased = {worker.host: 0 for worker in seen} | leased_by_host(engine)
    # taken out at the first of the host's workers, for the sum to be right
    rows = [worker_json(w) | {"rows_at_work": leased.pop(w.host, None)} for w in seen]
    if as_json:
        emit(rows, as_json=True)
    elif rows:
        ago = [{"seen": f"{seconds_text(row['seen_seconds_ago'])} ago"} for row in rows]
        emit([row | when for row, when in zip(rows, ago, strict=True)], False, COLUMNS)
    if warning := version_difference(engine):
        session.console.warn(warning)
    if not rows:
        session.console.say("no worker runs on any host; `curate run` starts its own")
        session.next(("worker",), ("run", "--help"))
