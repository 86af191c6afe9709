"""Workers of this host, run until nothing of a dataset is left: what `run` and `resume` share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import typer

from curate.cli.shared.database import OpenDataset
from curate.cli.shared.exports import ExportRequest, export_clips, plan_export
from curate.cli.shared.follow import Watcher, follow
from curate.cli.shared.funnel import print_funnel, refilter_words
from curate.cli.shared.output import counted
from curate.cli.shared.serving import LOOPBACK, signals_interrupt, stop_remark
from curate.cli.shared.session import Session
from curate.cli.shared.weights import check_models, needs_of
from curate.configs.errors import ConfigError
from curate.configs.pipeline import Pipeline
from curate.configs.settings import Settings
from curate.db import datasets
from curate.db.reports.overview import DatasetView
from curate.tasks.inputs.paths import to_text
from curate.tasks.models.device import check_installed
from curate.tasks.storage.locations import Location, below, check_clips_writable
from curate.worker.heartbeat import refuse_rivals
from curate.worker.processes import queues_of, worker_specs
from curate.worker.supervisor import Log, Supervisor

COUNTS = "SELECT status, reason, count(*) FROM clips GROUP BY 1, 2"


def finish(
    session: Session, opened: OpenDataset, jobs: int | None, request: ExportRequest | None
) -> None:
    """Run workers until nothing is left, then export and show the funnel.

    Exits with 1 when a row failed, with 130 when it is stopped.
    """
    if request:
        plan_export(opened, request)  # a misspelt column is an error before hours of work
    totals = run_workers(session, opened, jobs).totals
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


def run_workers(session: Session, opened: OpenDataset, jobs: int | None) -> DatasetView:
    """Run workers on this host until nothing of the dataset is left; returns the last view."""
    watcher = Watcher(opened, session.settings)
    view = watcher.look()
    if view.finished:
        return view
    refuse_shared_sqlite(session.settings)
    refuse_rivals(opened.engine, [])
    check_clips_writable(session.settings)
    check_models_left(session, opened, view)
    # an interrupted run is no crash of the rows it was at
    datasets.resume(opened.engine, opened.dataset)
    log_file = session.make_home() / "logs" / "worker.log"
    log_file.parent.mkdir(exist_ok=True)
    prefix = f"run{os.getpid()}-"
    specs = worker_specs(session.settings, queues_of(opened.pipeline), jobs, prefix=prefix)
    loading = "a model may be loading; " if any(s.queue == "ascend" for s in specs) else ""
    hint = f"{loading}the workers' log is {log_file}"
    supervised = Supervisor(session.settings, opened.engine, specs, Log(log_file, "INFO"))
    with stopped_by_signals(session, opened), supervised as supervisor:
        try:
            view = follow(watcher, supervisor.tick, session.console, hint)
        except KeyboardInterrupt:
            supervisor.tell_to_stop()
            session.console.say(stop_remark(supervisor.at_work))
            raise
        if not view.finished:  # cancelled
            supervisor.stop(0)
            raise KeyboardInterrupt
    return view


def check_models_left(session: Session, opened: OpenDataset, view: DatasetView) -> None:
    """Raise PackageMissing or ModelsMissing when a stage with work left cannot run on this host.

    Workers would find out too, but take half a minute to start and to give up.
    """
    working = (i for i, stage in enumerate(view.stages) if stage.waiting or stage.running)
    left = Pipeline(opened.pipeline.stages[next(working, 0) :])
    if needs_of(left):
        check_installed()
    check_models(left, session.settings.model_folder)


@contextmanager
def stopped_by_signals(session: Session, opened: OpenDataset) -> Iterator[None]:
    """Ctrl-C and the signals to stop end the block and exit with 130, saying how to go on."""
    try:
        with signals_interrupt():
            yield
    except KeyboardInterrupt:
        go_on = f"go on with: {session.command('resume', opened.name)}"
        session.console.say(f"Stopped. Nothing is lost; {go_on}")
        raise typer.Exit(130) from None


def refuse_shared_sqlite(settings: Settings) -> None:
    """Raise ConfigError when workers of other hosts would share a SQLite file.

    Network disks corrupt such files.
    """
    host = urlsplit(settings.broker_url).hostname or ""
    if settings.database.startswith("sqlite") and host not in (*LOOPBACK, ""):
        why = (
            f"the broker is on {host}, and SQLite cannot be shared by several hosts;"
            " give a postgresql:// URL"
        )
        raise ConfigError(source="CURATE_DATABASE_URL", why=why)
