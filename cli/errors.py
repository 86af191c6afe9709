"""`curate errors`: what failed, and why."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from curate.cli.shared.database import OpenDataset, known_stage, open_dataset
from curate.cli.shared.options import DatasetName, Json, Stage
from curate.cli.shared.output import emit_cells, emit_json, formatted
from curate.cli.shared.session import Session
from curate.configs.errors import UsageError
from curate.db.reports.failures import failures, row_values


def errors(
    ctx: typer.Context,
    dataset: DatasetName = None,
    stage: Stage = None,
    row: Annotated[int | None, typer.Option("--id", help="Show everything about one row.")] = None,
    level: Annotated[str, typer.Option(help="Whether --id is that of a clip or a video.")] = "clip",
    as_json: Json = False,
) -> None:
    """Show what failed: the kind of error, how many rows, one of them, and what to do.

    Example:
      curate errors --stage probe
      curate errors --id 812
    """
    session = Session.of(ctx)
    opened = open_dataset(session, dataset)
    if row is not None:
        _one_row(opened, level, row, as_json)
        return
    found = failures(opened.engine, opened.dataset.id, known_stage(opened, stage))
    if as_json:
        emit_json([asdict(f) for f in found])
        return
    for f in found:
        print(
            f"{f.rows} x {f.error} in {f.stage}   e.g. {f.level} {f.example_id}: {formatted(f.path)}"
        )
        print(f"    {formatted(f.message)}")
    if not found:
        session.console.say("nothing failed")
    else:
        first = found[0]
        name = opened.dataset.name
        session.console.next(
            f"curate retry {name}",
            f"curate errors {name} --id {first.example_id} --level {first.level}",
        )


def _one_row(opened: OpenDataset, level: str, row_id: int, as_json: bool) -> None:
    if level not in ("clip", "video"):
        raise UsageError(what=f"--level {level}: it is clip or video")
    found = row_values(
        opened.engine, opened.dataset.id, "video" if level == "video" else "clip", row_id
    )
    if found is None:
        raise UsageError(what=f"dataset {opened.dataset.name} has no {level} {row_id}")
    if as_json:
        emit_json(found)
    else:
        emit_cells(("column", "value"), list(found.items()))
