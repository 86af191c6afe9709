"""`curate status`, `errors`, `retry`: how far it is, what went wrong, try again."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from curate.cli import options
from curate.cli.hosts import version_difference
from curate.cli.options import DatasetName, Json, Stage
from curate.cli.session import Opened, Session, session
from curate.configs.states import RUNNING

WATCH_SECONDS = 2.0


def status(
    ctx: typer.Context,
    dataset: DatasetName = None,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Show it again every 2 seconds, until done.")
    ] = False,
    as_json: Json = False,
    fail_on_error: Annotated[
        bool, typer.Option("--fail-on-error", help="Exit with 1 when a row failed.")
    ] = False,
) -> None:
    """Show how far each stage is, who works on it, and what failed most.

    done: went on · dropped: by the stage or the filters behind it · rate: rows a second over the
    last minute, or the time of two batches · left: until all stages are done, if it goes on like
    that.

    Example:
      curate status
      curate status videos --json
    """
    here = session(ctx)
    opened = here.open_dataset(dataset)
    found = _look(opened)
    if watch:
        _watch(opened)
        found = _look(opened)
    _print(here, opened, found, as_json)
    if fail_on_error and found["totals"]["failed"]:
        raise typer.Exit(1)


def _look(opened: Opened) -> dict[str, Any]:
    """Everything that status tells, ready for JSON."""
    from dataclasses import asdict

    from curate.cli.follow import Watcher
    from curate.db.reports.failures import failures
    from curate.db.reports.workers import busy_processes

    view = Watcher(opened).look()
    stages = [
        {
            "stage": s.stage, "queue": s.queue, "waiting": s.waiting, "running": s.running, "done": s.done,
            "dropped": s.dropped, "failed": s.failed, "rate": s.rate, "eta_seconds": s.eta,
        }
        for s in view.stages
    ]  # fmt: skip
    return {
        "dataset": opened.dataset.name, "state": view.state, "root": opened.dataset.root, "stages": stages,
        "totals": asdict(view.totals), "shares": view.totals.shares(), "eta_seconds": view.eta,
        "failures": [asdict(f) for f in failures(opened.engine, opened.dataset.id)[:3]],
        "held_up": [asdict(b) for b in view.blocked],
        "workers": busy_processes(opened.engine, opened.dataset),
    }  # fmt: skip


def _print(here: Session, opened: Opened, found: dict[str, Any], as_json: bool) -> None:
    from curate.cli.output import emit, emit_json, seconds_shown

    if as_json:
        emit_json(found)
        return
    held = "" if found["state"] == RUNNING else f"   {found['state']}"
    print(f"dataset {opened.dataset.name}   {opened.dataset.root}{held}")
    rows = [
        s | {"rate/s": s["rate"], "eta": seconds_shown(s["eta_seconds"])} for s in found["stages"]
    ]
    emit(
        rows,
        False,
        ("stage", "queue", "waiting", "running", "done", "dropped", "failed", "rate/s", "eta"),
    )
    print(footer(found))
    if differ := version_difference(opened.engine):
        here.talk.warn(differ)
    _suggest(here, opened, found)


def footer(found: dict[str, Any]) -> str:
    """The shares, the counts and the most frequent failures, in a line or two."""
    from curate.cli.follow import summary
    from curate.cli.output import counted, seconds_shown, shown
    from curate.db.reports.progress import Totals

    left = f" · {seconds_shown(found['eta_seconds'])} left" if found["eta_seconds"] else ""
    lines = [
        f"{summary(Totals(**found['totals']))} · {counted(len(found['workers']), 'worker')} at work{left}"
    ]
    lines += [
        shown(f"{f['rows']} x {f['error']} in {f['stage']}, e.g. {f['path']}")
        for f in found["failures"]
    ]
    lines += [shown(f"{h['stage']} is held up: {h['message']}") for h in found["held_up"]]
    return "\n".join(lines)


def _suggest(here: Session, opened: Opened, found: dict[str, Any]) -> None:
    from curate.cli.funnel import warn_of_refilter

    warn_of_refilter(here, opened)
    name = opened.dataset.name
    if found["totals"]["active"]:
        at_work = found["workers"] and found["state"] == RUNNING
        more = f"curate status {name} --watch" if at_work else f"curate resume {name} -o clips.csv"
        here.talk.next(more)
    elif found["totals"]["failed"]:
        here.talk.next(f"curate errors {name}", f"curate export {name} -o clips.csv")
    else:
        here.talk.next(f"curate filter {name}", f"curate export {name} -o clips.csv")


def _watch(opened: Opened) -> None:
    """Show the table in place until nothing is left to do, or Ctrl-C. Redraws on a terminal only."""
    from curate.cli.follow import Bars, Watcher
    from curate.cli.output import stdout_console

    watcher = Watcher(opened)
    display = Bars(stdout_console())
    try:
        while True:
            view = watcher.look()
            display.show(view)
            if view.over:
                return
            time.sleep(WATCH_SECONDS)
    except KeyboardInterrupt:
        return
    finally:
        display.close()


def errors(
    ctx: typer.Context,
    dataset: DatasetName = None,
    stage: Stage = None,
    row: Annotated[int | None, typer.Option("--id", help="Show everything about one row.")] = None,
    level: Annotated[str, typer.Option(help="Whether --id is that of a clip or a video.")] = "clip",
    as_json: Json = False,
) -> None:
    """Show what failed: the kind of error, how many rows, one of them, and what to do.

    Example:
      curate errors --stage probe
      curate errors --id 812
    """
    from dataclasses import asdict

    from curate.cli.output import emit_json, shown
    from curate.db.reports.failures import failures

    here = session(ctx)
    opened = here.open_dataset(dataset)
    if row is not None:
        _one_row(opened, level, row, as_json)
        return
    found = failures(opened.engine, opened.dataset.id, _known_stage(opened, stage))
    if as_json:
        emit_json([asdict(f) for f in found])
        return
    for f in found:
        print(f"{f.rows} x {f.error} in {f.stage}   e.g. {f.level} {f.example_id}: {shown(f.path)}")
        print(f"    {shown(f.message)}")
    if not found:
        here.talk.say("nothing failed")
    else:
        first = found[0]
        name = opened.dataset.name
        here.talk.next(
            f"curate retry {name}",
            f"curate errors {name} --id {first.example_id} --level {first.level}",
        )


def _known_stage(opened: Opened, stage: str | None) -> str | None:
    from curate.configs.errors import UsageError

    names = [s.name for s in opened.pipeline.stages]
    if stage and stage not in names:
        raise UsageError(
            what=f"--stage {stage}: dataset {opened.dataset.name} has the stages {', '.join(names)}"
        )
    return stage


def _one_row(opened: Opened, level: str, row_id: int, as_json: bool) -> None:
    from curate.cli.output import emit_cells, emit_json
    from curate.configs.errors import UsageError
    from curate.db.reports.failures import row_values

    if level not in ("clip", "video"):
        raise UsageError(what=f"--level {level}: it is clip or video")
    found = row_values(
        opened.engine, opened.dataset.id, "video" if level == "video" else "clip", row_id
    )
    if found is None:
        raise UsageError(what=f"dataset {opened.dataset.name} has no {level} {row_id}")
    if as_json:
        emit_json(found)
    else:
        emit_cells(("column", "value"), list(found.items()))


def retry(
    ctx: typer.Context,
    dataset: DatasetName = None,
    stage: Stage = None,
    error: Annotated[
        str | None, typer.Option("--error", metavar="CLASS", help="Only this kind of error.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Put failed rows back to the stage where they failed.

    Example:
      curate retry --stage cut
      curate retry --error StageTimeout
    """
    from curate.cli.output import counted, emit_json
    from curate.cli.run import ring_waiting
    from curate.db import datasets

    here = session(ctx)
    opened = here.open_dataset(dataset)
    count = datasets.retry(
        opened.engine, opened.dataset, opened.pipeline, _known_stage(opened, stage), error
    )
    name = opened.dataset.name
    if as_json:
        emit_json({"dataset": name, "rows": count})
    else:
        print(f"dataset {name}: {counted(count, 'row')} to try again")
    if not count:
        return
    rung = ring_waiting(here, opened)
    here.talk.next(
        f"curate status {name} --watch" if rung else f"curate resume {name} -o clips.csv"
    )


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    for command in (status, errors, retry):
        app.command(rich_help_panel=options.LOOK)(command)
