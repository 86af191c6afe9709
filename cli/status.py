"""`curate status`: how far each stage is, who works on it, and what failed most."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Annotated, Any

import typer

from curate.cli.shared.database import OpenDataset, open_dataset
from curate.cli.shared.follow import Bars, Watcher, summary
from curate.cli.shared.funnel import warn_of_refilter
from curate.cli.shared.hosts import version_difference
from curate.cli.shared.options import DatasetName, Json
from curate.cli.shared.output import counted, emit, emit_json, formatted, seconds_shown
from curate.cli.shared.session import Session
from curate.configs.schema import RUNNING
from curate.db.reports.failures import failures
from curate.db.reports.progress import Totals
from curate.db.reports.workers import busy_processes

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
    session = Session.of(ctx)
    opened = open_dataset(session, dataset)
    found = _look(opened)
    if watch:
        _watch(opened)
        found = _look(opened)
    _print(session, opened, found, as_json)
    if fail_on_error and found["totals"]["failed"]:
        raise typer.Exit(1)


def _look(opened: OpenDataset) -> dict[str, Any]:
    """Everything that status tells, ready for JSON."""
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


def _print(session: Session, opened: OpenDataset, found: dict[str, Any], as_json: bool) -> None:
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
        session.console.warn(differ)
    _suggest(session, opened, found)


def footer(found: dict[str, Any]) -> str:
    """The shares, the counts and the most frequent failures, in a line or two."""
    left = f" · {seconds_shown(found['eta_seconds'])} left" if found["eta_seconds"] else ""
    lines = [
        f"{summary(Totals(**found['totals']))} · {counted(len(found['workers']), 'worker')} at work{left}"
    ]
    lines += [
        formatted(f"{f['rows']} x {f['error']} in {f['stage']}, e.g. {f['path']}")
        for f in found["failures"]
    ]
    lines += [formatted(f"{h['stage']} is held up: {h['message']}") for h in found["held_up"]]
    return "\n".join(lines)


def _suggest(session: Session, opened: OpenDataset, found: dict[str, Any]) -> None:
    warn_of_refilter(session, opened)
    name = opened.dataset.name
    if found["totals"]["active"]:
        at_work = found["workers"] and found["state"] == RUNNING
        more = f"curate status {name} --watch" if at_work else f"curate resume {name} -o clips.csv"
        session.console.next(more)
    elif found["totals"]["failed"]:
        session.console.next(f"curate errors {name}", f"curate export {name} -o clips.csv")
    else:
        session.console.next(f"curate filter {name}", f"curate export {name} -o clips.csv")


def _watch(opened: OpenDataset) -> None:
    """Show the table in place until nothing is left to do, or Ctrl-C. Redraws on a terminal only."""
    watcher = Watcher(opened)
    display = Bars()
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
