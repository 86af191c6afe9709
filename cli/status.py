"""`curate status`: how far each stage is, who works on it, and what failed most."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Annotated, Any

import typer

from curate.cli.shared.database import OpenDataset, open_dataset
from curate.cli.shared.displays import Bars
from curate.cli.shared.follow import Watcher
from curate.cli.shared.funnel import warn_of_refilter
from curate.cli.shared.hosts import version_difference
from curate.cli.shared.options import DatasetName, Json
from curate.cli.shared.output import counted, emit, emit_json, formatted, seconds_text
from curate.cli.shared.session import Session
from curate.configs.schema import RUNNING
from curate.db.reports.failures import failures
from curate.db.reports.forms import earlier_forms
from curate.db.reports.overview import DatasetView
from curate.db.reports.progress import Totals
from curate.db.reports.workers import busy_processes

WATCH_SECONDS = 2.0
COLUMNS = ["stage", "queue", "waiting", "running", "done", "dropped", "failed", "rate/s", "eta"]


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
    view = Watcher(opened).look()
    if watch:
        _watch(opened)
        view = Watcher(opened).look()
    report = status_json(opened, view)
    if as_json:
        emit_json(report)
    else:
        _print_table(session, opened, report)
        warn_of_refilter(session, opened)
        session.console.next(*next_commands(opened.name, report))
    if fail_on_error and view.totals.failed:
        raise typer.Exit(1)


def _watch(opened: OpenDataset) -> None:
    """Show the table until nothing is left to do, or Ctrl-C; in place on a terminal only."""
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


def status_json(opened: OpenDataset, view: DatasetView) -> dict[str, Any]:
    """Everything that status shows, as JSON."""
    stages = [
        {
            "stage": s.stage, "queue": s.queue, "waiting": s.waiting, "running": s.running,
            "done": s.done, "dropped": s.dropped, "failed": s.failed, "rate": s.rate,
            "eta_seconds": s.eta,
        }
        for s in view.stages
    ]  # fmt: skip
    return {
        "dataset": opened.name, "state": view.state, "root": opened.dataset.root, "stages": stages,
        "totals": asdict(view.totals), "shares": view.totals.shares(), "eta_seconds": view.eta,
        "failures": [asdict(f) for f in failures(opened.engine, opened.dataset.id)[:3]],
        "held_up": [asdict(b) for b in view.blocked],
        "earlier_forms": [
            asdict(e) for e in earlier_forms(opened.engine, opened.dataset, opened.pipeline)
        ],
        "workers": busy_processes(opened.engine, opened.dataset),
    }  # fmt: skip


def _print_table(session: Session, opened: OpenDataset, report: dict[str, Any]) -> None:
    state = "" if report["state"] == RUNNING else f"   {report['state']}"
    print(f"dataset {opened.name}   {opened.dataset.root}{state}")
    rows = [
        s | {"rate/s": s["rate"], "eta": seconds_text(s["eta_seconds"])} for s in report["stages"]
    ]
    emit(rows, False, COLUMNS)
    left = f" · {seconds_text(report['eta_seconds'])} left" if report["eta_seconds"] else ""
    at_work = f"{counted(len(report['workers']), 'worker')} at work"
    print(f"{summary(Totals(**report['totals']))} · {at_work}{left}")
    for f in report["failures"]:
        print(formatted(f"{f['rows']} x {f['error']} in {f['stage']}, e.g. {f['path']}"))
    for blocked in report["held_up"]:
        print(formatted(f"{blocked['stage']} is held up: {blocked['message']}"))
    for earlier in report["earlier_forms"]:
        session.console.warn(_about_earlier_form(opened.name, **earlier))
    if warning := version_difference(opened.engine):
        session.console.warn(warning)


def _about_earlier_form(name: str, stage: str, level: str, rows: int) -> str:
    """That rows hold measures of an earlier form of a stage, and what brings them up to date."""
    subject = f"{stage} of {counted(rows, level)} is of an earlier form"
    if level == "clip":
        return f"{subject}, not to be compared with the others: curate redo {stage} {name}"
    return f"{subject}; for clips by the rules of today: curate run … --name NEW"


def summary(totals: Totals) -> str:
    """What became of the clips, as shares, and how many videos and clips there are; one line."""
    parts = " · ".join(f"{name} {share:.1f} %" for name, share in totals.shares().items())
    return f"{parts}      {counted(totals.videos, 'video')} · {counted(totals.clips, 'clip')}"


def next_commands(name: str, report: dict[str, Any]) -> list[str]:
    """The natural next commands for a dataset of that name."""
    export = f"curate export {name} -o clips.csv"
    if report["totals"]["active"]:
        at_work = report["workers"] and report["state"] == RUNNING
        return [
            f"curate status {name} --watch" if at_work else f"curate resume {name} -o clips.csv"
        ]
    return [f"curate {'errors' if report['totals']['failed'] else 'filter'} {name}", export]
