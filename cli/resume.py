"""`curate resume`: a dataset that was interrupted goes on."""

from __future__ import annotations

import typer

import curate.cli
from curate.cli.shared.exports import ExportRequest, plan_export
from curate.cli.shared.local_run import finish
from curate.cli.shared.notify import notify_workers
from curate.cli.shared.options import Columns, DatasetName, Output, Processes, Sort, Where
from curate.cli.shared.session import Session
from curate.configs.errors import UsageError
from curate.configs.settings import hide_password
from curate.configs.shown import counted
from curate.db import datasets
from curate.export.tables import check_target
from curate.worker.dispatcher import expire_rows_of_dead
from curate.worker.prepared import prepare_worker
from curate.worker.session.database import open_dataset


def resume(
    ctx: typer.Context,
    dataset: DatasetName = None,
    output: Output = None,
    jobs: Processes = None,
    where: Where = "",
    columns: Columns = None,
    sort: Sort = None,
) -> None:
    """Go on with a dataset that was interrupted; with -o also write the clips.

    With a broker configured (CURATE_BROKER_URL) it notifies the workers and returns, unless -o or
    -j is given.

    Example:
      curate resume
      curate resume videos -o clips.csv
    """
    session = Session.of(ctx)
    request = ExportRequest(output, where, columns or (), sort or ()) if output else None
    if (where or columns or sort) and not output:
        raise UsageError(what="--where, --columns and --sort are about the table of -o FILE")
    check_target(output)
    if curate.cli.is_program:
        prepare_worker()
    opened = open_dataset(session, dataset)
    if request:
        plan_export(opened, request)  # what is wrong with it is told before anything is done
    expired = expire_rows_of_dead(opened.engine, opened.dataset.id, opened.pipeline)
    datasets.resume(opened.engine, opened.dataset)
    if expired:
        session.console.say(f"{counted(expired, 'row')} taken back from workers that are gone")
    broker = session.settings.broker_url
    if not broker or output or jobs:
        finish(session, opened, jobs, request)
        return
    if not notify_workers(session, opened):
        session.console.warn(
            f"the broker {hide_password(broker)} does not answer: rows wait, and workers go on"
            " once it does. Check it with: `curate doctor`"
        )
    session.next(("status", opened.name, "--watch"))
