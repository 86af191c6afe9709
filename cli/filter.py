"""`curate filter`: what each step of a pipeline kept."""

from __future__ import annotations

import typer

from curate.cli.shared.funnel import (
    funnel_rows,
    print_funnel,
    refilter_words,
    warn_of_refilter,
)
from curate.cli.shared.lost_frames import list_lost, lost_text
from curate.cli.shared.options import DatasetName, Json
from curate.cli.shared.output import emit_json
from curate.cli.shared.session import Session
from curate.db.reports.frames import count_frames
from curate.worker.session.database import open_dataset


def filter_(ctx: typer.Context, dataset: DatasetName = None, as_json: Json = False) -> None:
    """Show the funnel: for each stage and filter in order, the rows that came in, were kept, were
    dropped.

    Rows of kind count say what became of the frames and scenes of videos until they were clips.

    Example:
      curate filter
      curate filter videos --json
    """
    session = Session.of(ctx)
    opened = open_dataset(session, dataset)
    if as_json:
        emit_json(funnel_rows(opened))
    else:
        print_funnel(opened)
    warn_of_refilter(session, opened)
    lost = lost_text(count_frames(opened.engine, opened.dataset.id))
    if lost:
        session.console.warn(lost)
    more = [list_lost(opened.dataset.id)] if lost else []
    session.next(refilter_words(opened), ("export", opened.name, "-o", "clips.csv"), *more)
