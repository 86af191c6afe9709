"""`curate cancel`: work on a dataset stops at once."""

from __future__ import annotations

from typing import Annotated

import typer

from curate.cli.shared.options import Json, dataset_names
from curate.cli.shared.output import emit_json
from curate.cli.shared.session import Session
from curate.configs.schema import CANCELLED
from curate.configs.shown import counted
from curate.db import datasets
from curate.worker.session.database import open_dataset


def cancel(
    ctx: typer.Context,
    dataset: Annotated[
        str, typer.Argument(metavar="DATASET", help="Dataset.", autocompletion=dataset_names)
    ],
    as_json: Json = False,
) -> None:
    """Stop work on a dataset at once: what batches at work find is not saved, and a run of it ends.

    Nothing else is lost: rows keep their scores and position, and curate resume goes on from there.

    Example:
      curate cancel videos
    """
    session = Session.of(ctx)
    opened = open_dataset(session, dataset)
    rows = datasets.cancel(opened.engine, opened.dataset)
    if as_json:
        emit_json({"dataset": opened.name, "state": CANCELLED, "rows_taken_back": rows})
    else:
        print(f"dataset {opened.name}: cancelled, {counted(rows, 'row')} at work taken back")
    session.next(("resume", opened.name), ("export", opened.name, "-o", "clips.csv"))
