"""`curate pause` and `curate cancel`: work on a dataset stops; `curate resume` goes on."""

from __future__ import annotations

from typing import Annotated

import typer

from curate.cli import options
from curate.cli.options import DatasetName, Json, dataset_names
from curate.cli.session import session
from curate.configs.states import CANCELLED, PAUSED


def pause(ctx: typer.Context, dataset: DatasetName = None, as_json: Json = False) -> None:
    """Stop work on a dataset once the batches at work are done; workers turn to other datasets.

    It goes on with curate resume.

    Example:
      curate pause videos
    """
    from curate.cli.output import emit_json
    from curate.db import datasets
    from curate.db.reports.workers import busy_processes

    here = session(ctx)
    opened = here.open_dataset(dataset)
    datasets.pause(opened.engine, opened.dataset)
    name, busy = opened.dataset.name, len(busy_processes(opened.engine, opened.dataset))
    if as_json:
        emit_json({"dataset": name, "state": PAUSED, "workers_at_work": busy})
    else:
        print(
            f"dataset {name}: paused"
            + (f"; {busy} processes finish the batches they are at" if busy else "")
        )
    here.talk.next(f"curate resume {name}")


def cancel(
    ctx: typer.Context,
    dataset: Annotated[
        str, typer.Argument(metavar="DATASET", help="Dataset.", autocompletion=dataset_names)
    ],
    as_json: Json = False,
) -> None:
    """Stop work on a dataset at once: what batches at work find is not saved, and a run of it ends.

    Nothing else is lost: rows keep their scores and place, and go on from there with curate resume.

    Example:
      curate cancel videos
    """
    from curate.cli.output import counted, emit_json
    from curate.db import datasets

    here = session(ctx)
    opened = here.open_dataset(dataset)
    rows = datasets.cancel(opened.engine, opened.dataset)
    name = opened.dataset.name
    if as_json:
        emit_json({"dataset": name, "state": CANCELLED, "rows_taken_back": rows})
    else:
        print(f"dataset {name}: cancelled, {counted(rows, 'row')} at work taken back")
    here.talk.next(f"curate resume {name}", f"curate export {name} -o clips.csv")


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    for command in (pause, cancel):
        app.command(rich_help_panel=options.WORK)(command)
