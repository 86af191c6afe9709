"""`curate redo`: clips go through a stage once more."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from curate.cli.shared.one_stage import DryRun, RedoRequest, StageSets, redo_stage
from curate.cli.shared.options import DatasetName, Json, Where, stage_names
from curate.cli.shared.session import Session
from curate.configs.errors import UsageError
from curate.tasks.registry import stages
from curate.worker.session.database import open_dataset

StageName = Annotated[
    str,
    typer.Argument(
        metavar="STAGE", help="The stage to go through again.", autocompletion=stage_names
    ),
]


def redo(
    ctx: typer.Context,
    stage: StageName,
    dataset: DatasetName = None,
    where: Where = "",
    sets: StageSets = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Put clips that are through with a stage, or failed in it, back before it; --set gives it
    other options.

    Once done they return to where they stood, and the filters decide anew; until then they are not
    kept. No other stage is computed again.

    Example:
      curate redo option_match --set option_match.texts='[a dog, a cat]'
      curate redo motion --where "flow > 50"
      curate redo motion --dry-run
    """
    session = Session.of(ctx)
    if dataset in stages() and stage not in stages():
        words = shlex.join((dataset, stage))
        raise UsageError(what=f"the stage comes before the dataset: `curate redo {words}`")
    opened = open_dataset(session, dataset)
    redo_stage(session, opened, RedoRequest(stage, where, sets or (), dry_run=dry_run), as_json)
