"""A run on this host and what is printed at its end: what `run` and `resume` share."""

from __future__ import annotations

import typer

from curate.cli.shared.exports import ExportRequest, export_clips, plan_export
from curate.cli.shared.funnel import print_funnel, refilter_words
from curate.cli.shared.session import Session
from curate.configs.shown import counted
from curate.db.reports.overview import DatasetView
from curate.tasks.inputs.paths import to_text
from curate.tasks.storage.locations import Location, below
from curate.worker.session.database import OpenDataset
from curate.worker.session.running import RunStopped, run_workers

COUNTS = "SELECT status, reason, count(*) FROM clips GROUP BY 1, 2"


def finish(
    session: Session, opened: OpenDataset, jobs: int | None, request: ExportRequest | None
) -> None:
    """Run workers until nothing is left, then export and show the funnel.

    Exits with 1 when a row failed, with 130 when it is stopped.
    """
    if request:
        plan_export(opened, request)  # a misspelt column is an error before hours of work
    totals = run_here(session, opened, jobs).totals
    if request:
        print_funnel(opened, to_stderr=True, quiet=session.quiet)
        export_clips(session, opened, request)
    if totals.kept and (folder := clips_folder(session, opened)):
        session.console.say(f"the files of the clips are in {to_text(str(folder))}")
    if totals.failed:
        failed = f"{counted(totals.failed, 'row')} failed"
        session.console.say(f"{failed}; see: {session.command('errors', opened.name)}")
    look = [("view", opened.name), ("sql", "--dataset", opened.name, COUNTS)]
    if totals.dropped and not totals.kept:
        session.next(refilter_words(opened), *look)
    elif request:
        session.next(*look)
    else:
        session.next(("export", opened.name, "-o", "clips.csv"), *look)
    if totals.failed:
        raise typer.Exit(1)


def clips_folder(session: Session, opened: OpenDataset) -> Location | None:
    """The folder or URL below which the clips of the dataset lie; None when none are written."""
    folder = below(session.settings.clips, opened.dataset.folder)
    written = "path" in opened.pipeline.columns()
    return folder if written and (isinstance(folder, str) or folder.is_dir()) else None


def run_here(session: Session, opened: OpenDataset, jobs: int | None) -> DatasetView:
    """Run workers until nothing is left; returns the last view. Exits with 130 when stopped."""
    try:
        return run_workers(session, opened, jobs)
    except RunStopped:
        raise typer.Exit(130) from None
