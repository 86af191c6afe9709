"""`curate run`, `enqueue`, `resume`: from a folder to the line at work."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from curate.cli import options
from curate.cli.options import (
    Columns,
    Config,
    DatasetName,
    Json,
    Name,
    Output,
    Processes,
    Sets,
    Sort,
    Sources,
    Where,
)
from curate.cli.session import Opened, Session, session


def run(
    ctx: typer.Context,
    sources: Sources,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="CSV or Parquet to write.")
    ],
    config: Config = None,
    sets: Sets = None,
    name: Name = None,
    jobs: Processes = None,
    where: Where = "",
    columns: Columns = "",
    sort: Sort = "",
) -> None:
    """Turn videos into clips and write the clips that passed every filter to a table.

    Starts workers on this host, shows how far they are, and stops them at the end. The same command
    again goes on where it stopped, and does only what is new.

    Example:
      curate run videos/ -o clips.csv
      curate run videos/ -o clips.parquet --set split.max_seconds=10 --where 'flow >= 0.5'
    """
    from curate.cli.data import Wish, check_wish
    from curate.cli.sources import Request, enqueue
    from curate.configs.errors import UsageError

    here = session(ctx)
    if any(Path(source) == output for source in sources):
        raise UsageError(what=f"{output} is both input and output; give -o another name")
    wish = Wish(output, where, columns, sort)
    check_wish(wish)
    opened, found = enqueue(here, Request(sources, config, sets or (), name))
    _report_found(here, opened, found)
    _finish(here, opened, jobs, wish)


def _report_found(here: Session, opened: Opened, found: Any) -> None:
    for line in found.lines():
        here.talk.say(f"dataset {opened.dataset.name}: {line}")
    for line in found.warnings():
        here.talk.warn(line)


def _finish(here: Session, opened: Opened, jobs: int | None, wish: Any) -> None:
    """Work until nothing is left, export, show the funnel, and exit 1 when a row failed."""
    from curate.cli.data import planned, write
    from curate.cli.funnel import print_funnel
    from curate.cli.output import counted

    if wish is not None:
        planned(opened, wish)  # a misspelt column is told before hours of work
    totals = work(here, opened, jobs).totals
    if wish is not None:
        print_funnel(opened, to_stderr=True, quiet=here.quiet)
        write(here, opened, wish)
    if totals.failed:
        here.talk.say(
            f"{counted(totals.failed, 'row')} failed; see: curate errors {opened.dataset.name}"
        )
        raise typer.Exit(1)
    here.talk.next(
        _after_all(opened.dataset.name, totals.dropped > 0 and not totals.kept, wish is not None)
    )


def _after_all(name: str, none_left: bool, exported: bool) -> str:
    if none_left:
        return f"curate refilter {name} --set FILTER.where='…'"
    return 'curate sql "SELECT …"' if exported else f"curate export {name} -o clips.csv"


def work(here: Session, opened: Opened, jobs: int | None) -> Any:
    """Run workers on this host until nothing of the dataset is left to do; returns the last view."""
    from curate.cli.follow import Watcher, follow
    from curate.cli.workers import refuse_shared_sqlite
    from curate.db import datasets
    from curate.tasks.storage.locations import check_clips_writable
    from curate.worker.heartbeat import refuse_rivals
    from curate.worker.processes import plans, queues_of
    from curate.worker.supervisor import Log, Supervisor

    view = Watcher(opened).look()
    if view.finished:
        return view
    refuse_shared_sqlite(here.settings)
    refuse_rivals(opened.engine, [])
    check_clips_writable(here.settings)
    _check_models_run(here, opened, view)
    datasets.resume(
        opened.engine, opened.dataset
    )  # an interrupted run is no crash of the rows it was at
    logs = here.make_home() / "logs"
    logs.mkdir(exist_ok=True)
    log_file = logs / "worker.log"
    planned = plans(here.settings, queues_of(opened.pipeline), jobs, prefix=f"run{os.getpid()}-")
    supervised = Supervisor(here.settings, opened.engine, planned, Log(log_file))
    with stopped_by_signals(here, opened), supervised as supervisor:
        try:
            loading = (
                "a model may be loading; " if any(p.queue == "ascend" for p in planned) else ""
            )
            view = follow(
                opened, supervisor.tick, here.talk, f"{loading}the workers' log is {log_file}"
            )
        except KeyboardInterrupt:
            here.talk.say("stopping when the batches at work are done; Ctrl-C again stops at once")
            raise
        if not view.finished:  # cancelled
            supervisor.stop(0)
            raise KeyboardInterrupt
    return view


def _check_models_run(here: Session, opened: Opened, view: Any) -> None:
    """Raise PackageMissing or ModelsMissing when what is left to do needs models that do not run on
    this host.

    Workers would find out too, but take half a minute to start and to give up.
    """
    from curate.cli.pipeline import check_models, needs_of
    from curate.configs.pipeline import Pipeline
    from curate.tasks.models.device import check_installed

    first = next(
        (place for place, stage in enumerate(view.stages) if stage.waiting or stage.running), 0
    )
    left = Pipeline(opened.pipeline.stages[first:])
    if needs_of(left):
        check_installed()
    check_models(left, here.settings.model_folder)


@contextmanager
def stopped_by_signals(here: Session, opened: Opened) -> Iterator[None]:
    """Ctrl-C and SIGTERM stop the workers and exit with 130, saying how to go on."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        here.talk.say(f"Stopped. Nothing is lost; go on with: curate resume {opened.dataset.name}")
        raise typer.Exit(130) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def enqueue(
    ctx: typer.Context,
    sources: Sources,
    config: Config = None,
    sets: Sets = None,
    name: Name = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Say what would be done; write nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Put new and changed videos into a dataset; workers take it from there.

    Example:
      curate enqueue videos/ -n
      curate enqueue s3://bucket/videos -c pipeline.yaml --name pets
    """
    from curate.cli.output import emit_json
    from curate.cli.sources import Request, look
    from curate.cli.sources import enqueue as put
    from curate.configs.states import RUNNING

    here = session(ctx)
    request = Request(sources, config, sets or (), name)
    if dry_run:
        dataset_name, pipeline, found = look(here, request)
    else:
        opened, found = put(here, request)
        dataset_name, pipeline = opened.dataset.name, opened.pipeline
        if opened.dataset.state != RUNNING:
            state = opened.dataset.state
            here.talk.warn(
                f"dataset {dataset_name} is {state}; go on with: curate resume {dataset_name}"
            )
    if as_json:
        emit_json(_as_json(dataset_name, pipeline, found, dry_run))
    else:
        _tell(here, dataset_name, pipeline, found)
    for line in found.warnings():
        here.talk.warn(line)
    here.talk.next(*([_same_without_n(request)] if dry_run else _after_enqueue(here, opened)))


def _as_json(name: str, pipeline: Any, found: Any, dry_run: bool) -> dict[str, Any]:
    counts = found.counts
    stages = [{"stage": s.name, "queue": s.options.queue} for s in pipeline.stages]
    return {
        "dataset": name, "dry_run": dry_run, "found": counts.found, "new": counts.new, "changed": counts.changed,
        "unchanged": counts.unchanged, "named_twice": found.passed_over.duplicates,
        "unreadable": [path for path, _ in found.passed_over.unreadable], "stages": stages,
    }  # fmt: skip


def _tell(here: Session, name: str, pipeline: Any, found: Any) -> None:
    for line in found.lines():
        print(f"dataset {name}: {line}")
    print(f"stages: {', '.join(f'{s.name} ({s.options.queue})' for s in pipeline.stages)}")


def _same_without_n(request: Any) -> str:
    import shlex

    words = list(request.sources)
    words += ["--config", str(request.config)] if request.config else []
    words += [word for assignment in request.sets for word in ("--set", assignment)]
    words += ["--name", request.name] if request.name else []
    return f"curate enqueue {shlex.join(words)}"


def _after_enqueue(here: Session, opened: Opened) -> list[str]:
    """Ring the first stage when a broker can be reached; the natural next commands."""
    if ring_waiting(here, opened):
        return [f"curate status {opened.dataset.name} --watch"]
    return ["curate worker", f"curate resume {opened.dataset.name} -o clips.csv"]


def ring_waiting(here: Session, opened: Opened) -> bool:
    """Ring every stage that has rows to claim; False when no broker answers. Workers look by
    themselves too.
    """
    from curate.configs.errors import ServiceError
    from curate.db.queue.ready import waiting
    from curate.worker.broker import broker_url, check_broker, socket_path
    from curate.worker.messages import Bells, make_app

    if not here.settings.broker_url and not socket_path(here.settings).exists():
        return False
    try:
        check_broker(broker_url(here.settings))
    except ServiceError:
        return False
    with closing(Bells(make_app(here.settings))) as bells:
        for step in waiting(opened.engine, opened.dataset.id, opened.pipeline):
            bells.ring(step, opened.dataset.id)
    return True


def resume(
    ctx: typer.Context,
    dataset: DatasetName = None,
    output: Output = None,
    jobs: Processes = None,
    where: Where = "",
    columns: Columns = "",
    sort: Sort = "",
) -> None:
    """Go on with a dataset that was interrupted; with -o also write the clips.

    With a broker configured (CURATE_BROKER_URL) it rings the workers and returns, unless -o or -j
    is given.

    Example:
      curate resume
      curate resume videos -o clips.csv
    """
    from curate.cli.data import Wish, check_wish
    from curate.cli.output import counted
    from curate.db import datasets
    from curate.worker.dispatcher import free_dead

    here = session(ctx)
    wish = Wish(output, where, columns, sort) if output else None
    if wish:
        check_wish(wish)
    opened = here.open_dataset(dataset)
    freed = free_dead(opened.engine, opened.dataset)
    datasets.resume(opened.engine, opened.dataset)
    if freed:
        here.talk.say(f"{counted(freed, 'row')} taken back from workers that are gone")
    if here.settings.broker_url and not output and not jobs:
        if not ring_waiting(here, opened):
            _warn_broker_is_away(here)
        here.talk.next(f"curate status {opened.dataset.name} --watch")
        return
    _finish(here, opened, jobs, wish)


def _warn_broker_is_away(here: Session) -> None:
    from curate.configs.settings import hide_password

    broker = hide_password(here.settings.broker_url)
    here.talk.warn(
        f"the broker {broker} does not answer: rows wait, and workers go on once it does. Check it with: curate doctor"
    )


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    for command in (run, enqueue, resume):
        app.command(rich_help_panel=options.WORK)(command)
