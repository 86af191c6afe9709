"""`curate history`: what each stage has done, from the batches that the database keeps."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Annotated, Any

import typer

from curate.cli.shared.options import DatasetName, Json
from curate.cli.shared.output import emit
from curate.cli.shared.session import Session
from curate.configs.shown import counted, seconds_text
from curate.db.prune import prune_batches
from curate.db.reports.batches import stage_history
from curate.worker.session.database import open_dataset

COLUMNS = [
    "stage",
    "batches",
    "ok",
    "failed",
    "given_back",
    "busy",
    "rows/s",
    "first",
    "last",
    "versions",
]

SPARE = ("versions", "first", "given_back", "rows/s", "last")


def history(
    ctx: typer.Context,
    dataset: DatasetName = None,
    prune: Annotated[
        float | None,
        typer.Option(
            "--prune", metavar="DAYS", min=1, help="Delete batches older than so many days."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what each stage of a dataset has done: batches, rows, seconds, when, and by which
    version.

    ok, failed: rows. given_back: batches that were released whole, because a package, weights or a
    service was missing. busy: the time of all batches. rows/s: rows that one process finishes in a
    second of it.

    A million clips leave some 16 000 rows a stage at batch size 64, 7 MB; --prune deletes old ones,
    which takes nothing else along.

    Example:
      curate history
      curate history videos --prune 90
    """
    session = Session.of(ctx)
    opened = open_dataset(session, dataset)
    if prune is not None:
        deleted = prune_batches(opened.engine, opened.dataset.id, prune)
        session.console.say(f"dataset {opened.name}: {counted(deleted, 'batch')} deleted")
    rows: list[dict[str, Any]] = [
        asdict(stage) | {"rows_per_busy_second": stage.rows_per_busy_second}
        for stage in stage_history(opened.engine, opened.dataset.id)
    ]
    if as_json:  # times are unix seconds
        emit(rows, as_json=True)
        return
    for row in rows:
        row["busy"] = seconds_text(row["busy_seconds"])
        row["rows/s"] = row["rows_per_busy_second"]
        for name in ("first", "last"):
            minute = time.localtime(row[f"{name}_at"])
            row[name] = time.strftime("%Y-%m-%d %H:%M", minute)
        row["versions"] = ", ".join(row["versions"])
    emit(rows, False, COLUMNS, SPARE)
