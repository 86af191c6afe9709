"""`curate history`: what each stage has done, from the batches that the database keeps."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Annotated, Any

import typer

from curate.cli.shared.database import open_dataset
from curate.cli.shared.options import DatasetName, Json
from curate.cli.shared.output import counted, emit, seconds_shown
from curate.cli.shared.session import Session
from curate.db.prune import prune_batches
from curate.db.reports.batches import stage_history


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

    rows/s: rows that one process finishes in a second of its batches. A million clips leave some 16
    000 rows a stage at batch size 64, 3 MB; --prune deletes old ones, which takes nothing else
    along.

    Example:
      curate history
      curate history videos --prune 90
    """
    session = Session.of(ctx)
    opened = open_dataset(session, dataset)
    if prune is not None:
        gone = prune_batches(opened.engine, opened.dataset.id, prune)
        session.console.say(f"dataset {opened.dataset.name}: {counted(gone, 'batch')} deleted")
    rows = [described(stage) for stage in stage_history(opened.engine, opened.dataset.id)]
    if as_json:
        emit(rows, as_json=True)
        return
    shown = [row | _for_people(row) for row in rows]
    names = (
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
    )
    emit(shown, False, names)


def described(stage: Any) -> dict[str, Any]:
    """A stage's history as JSON; times are unix seconds."""
    return asdict(stage) | {"rows_per_busy_second": stage.rows_per_busy_second}


def _for_people(row: dict[str, Any]) -> dict[str, Any]:
    first, last = (
        time.strftime("%Y-%m-%d %H:%M", time.localtime(row[k])) for k in ("first_at", "last_at")
    )
    return {
        "busy": seconds_shown(row["busy_seconds"]), "rows/s": row["rows_per_busy_second"],
        "first": first, "last": last, "versions": ", ".join(row["versions"]),
    }  # fmt: skip
