"""`curate retry`: failed rows go back to the stage where they failed."""

from __future__ import annotations

import typer

from curate.cli.shared.known import known_error, known_stage
from curate.cli.shared.notify import next_after_notifying
from curate.cli.shared.options import DatasetName, ErrorClass, FailedStage, Json
from curate.cli.shared.output import emit_json
from curate.cli.shared.session import Session
from curate.configs.shown import counted
from curate.db import datasets
from curate.worker.session.database import open_dataset
from curate.worker.session.gone import gone_text, gone_unreadable


def retry(
    ctx: typer.Context,
    dataset: DatasetName = None,
    stage: FailedStage = None,
    error: ErrorClass = None,
    as_json: Json = False,
) -> None:
    """Put failed rows back to the stage where they failed.

    Example:
      curate retry --stage cut
      curate retry --error StageTimeout
    """
    session = Session.of(ctx)
    opened = open_dataset(session, dataset)
    only = known_stage(opened, stage)
    kind = known_error(opened, error)
    gone = gone_unreadable(opened, only, kind)  # before they go back
    rows = datasets.retry(opened.engine, opened.dataset, opened.pipeline, only, kind)
    if as_json:
        emit_json({"dataset": opened.name, "rows": rows, "gone": gone})
    else:
        print(f"dataset {opened.name}: {counted(rows, 'row')} to try again{gone_text(gone)}")
    if rows:
        session.next(next_after_notifying(session, opened))
    elif stage or error:
        at = f" at {stage}" if stage else ""
        kind = f" with {error}" if error else ""
        session.console.warn(
            f"no row of {opened.name} failed{at}{kind}; see: `curate errors DATASET`"
        )
