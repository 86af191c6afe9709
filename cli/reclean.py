"""`curate reclean`: captions are cleaned once more."""

from __future__ import annotations

import typer

from curate.cli.shared.by_hand import CLEAN
from curate.cli.shared.one_stage import DryRun, RedoRequest, StageSets, redo_stage
from curate.cli.shared.options import DatasetName, Json, Where
from curate.cli.shared.session import Session
from curate.worker.session.database import open_dataset


def reclean(
    ctx: typer.Context,
    dataset: DatasetName = None,
    where: Where = "",
    sets: StageSets = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Clean captions once more, from the texts as they were written; --set gives clean_text other
    options.

    The same as: curate redo clean_text.

    Example:
      curate reclean --set clean_text.clean=t5
    """
    session = Session.of(ctx)
    opened = open_dataset(session, dataset)
    redo_stage(session, opened, RedoRequest(CLEAN, where, sets or (), dry_run=dry_run), as_json)
