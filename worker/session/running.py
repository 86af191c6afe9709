"""Workers of this host, run until nothing of a dataset is left."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from curate.configs.errors import ConfigError
from curate.configs.pipeline import Pipeline
from curate.configs.settings import LOOPBACK, Settings
from curate.db import datasets
from curate.db.reports.overview import DatasetView
from curate.tasks.models.onnx_session import check_engine
from curate.tasks.storage.locations import check_clips_writable
from curate.worker.heartbeat import refuse_rivals
from curate.worker.processes import queues_of, worker_specs
from curate.worker.session.database import OpenDataset
from curate.worker.session.folders import claim_folder
from curate.worker.session.follow import Watcher, follow
from curate.worker.session.home import HomeSession
from curate.worker.session.signals import signals_interrupt, stop_remark
from curate.worker.session.weights import check_models, needs_of
from curate.worker.supervisor import Log, Supervisor


class RunStopped(KeyboardInterrupt):
    """A run was told to stop, and has said how to go on."""


def run_workers(session: HomeSession, opened: OpenDataset, jobs: int | None) -> DatasetView:
    """Run workers on this host until nothing of the dataset is left; returns the last view.

    Raises RunStopped when it is told to stop, ServiceError, ConfigError, and PackageMissing or
    ModelsMissing when a stage with work left cannot run here.
    """
    watcher = Watcher(opened, session.settings)
    view = watcher.look()
    if view.finished:
        return view
    refuse_shared_sqlite(session.settings)
    refuse_rivals(opened.engine, [])
    check_clips_writable(session.settings)
    claim_folder(session.settings, opened.dataset)
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
            view = follow(watcher, supervisor.tick, session, hint)
        except KeyboardInterrupt:
            supervisor.tell_to_stop()
            session.console.say(stop_remark(supervisor.at_work))
            raise
        if not view.finished:  # cancelled
            supervisor.stop(0)
            raise KeyboardInterrupt
    return view


def check_models_left(session: HomeSession, opened: OpenDataset, view: DatasetView) -> None:
    """Raise PackageMissing or ModelsMissing when a stage with work left cannot run on this host.

    Workers would find out too, but take half a minute to start and to give up.
    """
    working = (i for i, stage in enumerate(view.stages) if stage.waiting or stage.running)
    left = Pipeline(opened.pipeline.stages[next(working, 0) :])
    # on the queue cpu models run on ONNX Runtime and NumPy, which stages check themselves
    on_ascend = Pipeline(tuple(s for s in left.stages if s.options.queue == "ascend"))
    for need in needs_of(on_ascend):
        check_engine(need.kind, session.settings.device)
    check_models(left, session.settings.model_folder)


@contextmanager
def stopped_by_signals(session: HomeSession, opened: OpenDataset) -> Iterator[None]:
    """Ctrl-C and the signals to stop end the block with RunStopped, after saying how to go on."""
    try:
        with signals_interrupt():
            yield
    except KeyboardInterrupt:
        go_on = f"go on with: {session.command('resume', opened.name)}"
        session.console.say(f"Stopped. Nothing is lost; {go_on}")
        raise RunStopped from None


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
