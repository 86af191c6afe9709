"""`curate run`: from a folder of videos to a table of clips."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

import curate.cli
from curate.cli.shared.exports import ExportRequest
from curate.cli.shared.local_run import finish
from curate.cli.shared.options import (
    Columns,
    Config,
    Images,
    Name,
    Processes,
    Sets,
    Sort,
    Sources,
    Where,
)
from curate.cli.shared.output import Counter
from curate.cli.shared.session import Session
from curate.configs.errors import UsageError
from curate.export.tables import check_target
from curate.tasks.inputs.paths import to_text
from curate.tasks.storage.locations import below
from curate.worker.prepared import prepare_worker
from curate.worker.session.database import OpenDataset
from curate.worker.session.enqueuing import EnqueueRequest, enqueue_videos


def run(
    ctx: typer.Context,
    sources: Sources,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="CSV or Parquet to write.")
    ],
    config: Config = None,
    sets: Sets = None,
    name: Name = None,
    images: Images = False,
    jobs: Processes = None,
    where: Where = "",
    columns: Columns = None,
    sort: Sort = None,
) -> None:
    """Turn videos into clips and write the clips that passed every filter to a table.

    Starts workers on this host, shows how far they are, and stops them at the end. The same command
    again goes on where it stopped, and does only what is new.

    Example:
      curate run videos/ -o clips.csv
      curate run videos/ -o clips.parquet --set split.max_seconds=10 --where 'flow >= 0.5'
    """
    session = Session.of(ctx)
    if any(Path(source) == output for source in sources):
        raise UsageError(what=f"{output} is both input and output; give -o another name")
    check_target(output)
    if curate.cli.is_program:
        prepare_worker()
    export = ExportRequest(output, where, columns or (), sort or ())
    asked = EnqueueRequest(sources, config, sets or (), name, images, export.selection)
    with Counter(session.console, "files found") as counter:
        opened, report = enqueue_videos(session, replace(asked, report=counter.show))
    report.tell(session.console, opened.name)
    _tell_plan(session, opened, output)
    finish(session, opened, jobs, export)


def _tell_plan(session: Session, opened: OpenDataset, output: Path) -> None:
    """Say which stages and filters the videos go through, and where the results go."""
    pipeline = opened.pipeline
    session.console.say(f"stages: {', '.join(pipeline.by_name)}")
    if pipeline.filters:
        session.console.say(f"filters: {', '.join(step.name for step in pipeline.filters)}")
    clips = to_text(str(below(session.settings.clips, opened.dataset.folder)))
    cut = f" · clips: {clips}" if "path" in pipeline.columns() else ""
    session.console.say(f"table: {to_text(str(output))}{cut}")
