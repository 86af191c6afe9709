"""`curate pause`: work on a dataset stops once its batches are done."""

from __future__ import annotations

import typer

from curate.cli.shared.options import DatasetName, Json
from curate.cli.shared.output import emit_json
from curate.cli.shared.session import Session
from curate.configs.schema import PAUSED
from curate.db import datasets
from curate.db.reports.workers import busy_processes
from curate.worker.session.database import open_dataset


def pause(ctx: typer.Context, dataset: DatasetName = None, as_json: Json = False) -> None:
    """Stop work on a dataset once the batches at work are done; workers turn to other datasets.

    It goes on with curate resume.

    Example:
      curate pause videos
    """
    session = Session.of(ctx)
    opened = open_dataset(session, dataset)
    datasets.pause(opened.engine, opened.dataset)
    busy = len(busy_processes(opened.engine, opened.dataset))
    if as_json:
        emit_json({"dataset": opened.name, "state": PAUSED, "workers_at_work": busy})
    else:
        still = f"; {busy} processes finish the batches they are at" if busy else ""
        print(f"dataset {opened.name}: paused{still}")
    session.next(("resume", opened.name))
