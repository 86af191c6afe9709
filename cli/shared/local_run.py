"""Workers of this host, run until nothing of a dataset is left to do: what `run` and `resume` share."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import typer

from curate.cli.shared.database import OpenDataset
from curate.cli.shared.exports import plan_export, write
from curate.cli.shared.follow import Watcher, follow
from curate.cli.shared.funnel import print_funnel
from curate.cli.shared.output import counted
from curate.cli.shared.serving import LOOPBACK
from curate.cli.shared.session import Session
from curate.cli.shared.weights import check_models, needs_of
from curate.configs.errors import ConfigError
from curate.configs.pipeline import Pipeline
from curate.db import datasets
from curate.tasks.models.device import check_installed
from curate.tasks.storage.locations import check_clips_writable
from curate.worker.heartbeat import refuse_rivals
from curate.worker.processes import queues_of, worker_specs
from curate.worker.supervisor import Log, Supervisor

if TYPE_CHECKING:
    from curate.configs.settings import Settings


def finish(session: Session, opened: OpenDataset, jobs: int | None, request: Any) -> None:
    """Work until nothing is left, export, show the funnel, and exit 1 when a row failed."""
    if request is not None:
        plan_export(opened, request)  # a misspelt column is told before hours of work
    totals = work(session, opened, jobs).totals
    if request is not None:
        print_funnel(opened, to_stderr=True, quiet=session.quiet)
        write(session, opened, request)
    if totals.failed:
        session.console.say(
            f"{counted(totals.failed, 'row')} failed; see: curate errors {opened.dataset.name}"
        )
        raise typer.Exit(1)
    session.console.next(
        _after_all(opened.dataset.name, totals.dropped > 0 and not totals.kept, request is not None)
    )


def _after_all(name: str, none_left: bool, exported: bool) -> str:
    if none_left:
        return f"curate refilter {name} --set FILTER.where='…'"
    return 'curate sql "SELECT …"' if exported else f"curate export {name} -o clips.csv"


def work(session: Session, opened: OpenDataset, jobs: int | None) -> Any:
    """Run workers on this host until nothing of the dataset is left to do; returns the last view."""
    view = Watcher(opened).look()
    if view.finished:
        return view
    refuse_shared_sqlite(session.settings)
    refuse_rivals(opened.engine, [])
    check_clips_writable(session.settings)
    _check_models_run(session, opened, view)
    datasets.resume(
        opened.engine, opened.dataset
    )  # an interrupted run is no crash of the rows it was at
    logs = session.make_home() / "logs"
    logs.mkdir(exist_ok=True)
    log_file = logs / "worker.log"
    planned = worker_specs(
        session.settings, queues_of(opened.pipeline), jobs, prefix=f"run{os.getpid()}-"
    )
    supervised = Supervisor(session.settings, opened.engine, planned, Log(log_file))
    with stopped_by_signals(session, opened), supervised as supervisor:
        try:
            loading = (
                "a model may be loading; " if any(p.queue == "ascend" for p in planned) else ""
            )
            view = follow(
                opened, supervisor.tick, session.console, f"{loading}the workers' log is {log_file}"
            )
        except KeyboardInterrupt:
            session.console.say(
                "stopping when the batches at work are done; Ctrl-C again stops at once"
            )
            raise
        if not view.finished:  # cancelled
            supervisor.stop(0)
            raise KeyboardInterrupt
    return view


def _check_models_run(session: Session, opened: OpenDataset, view: Any) -> None:
    """Raise PackageMissing or ModelsMissing when what is left to do needs models that do not run on
    this host.

    Workers would find out too, but take half a minute to start and to give up.
    """
    first = next(
        (place for place, stage in enumerate(view.stages) if stage.waiting or stage.running), 0
    )
    left = Pipeline(opened.pipeline.stages[first:])
    if needs_of(left):
        check_installed()
    check_models(left, session.settings.model_folder)


@contextmanager
def stopped_by_signals(session: Session, opened: OpenDataset) -> Iterator[None]:
    """Ctrl-C and SIGTERM stop the workers and exit with 130, saying how to go on."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        session.console.say(
            f"Stopped. Nothing is lost; go on with: curate resume {opened.dataset.name}"
        )
        raise typer.Exit(130) from None
    finally:
        signal.signal(signal.SIGTERM, before)


LOCAL_HOSTS = (*LOOPBACK, "")


def refuse_shared_sqlite(settings: Settings) -> None:
    """Raise ConfigError when workers of other hosts would share a SQLite file, which network disks
    corrupt.
    """
    host = urlsplit(settings.broker_url).hostname or ""
    if settings.database.startswith("sqlite") and host not in LOCAL_HOSTS:
        why = f"the broker is on {host}, and SQLite cannot be shared by several hosts; give a postgresql:// URL"
        raise ConfigError(source="CURATE_DATABASE_URL", why=why)
