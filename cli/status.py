"""`curate status`: how far each stage is, who works on it, and what failed most."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from curate.cli.shared.funnel import warn_of_refilter
from curate.cli.shared.hosts import version_difference
from curate.cli.shared.lost_frames import lost_text
from curate.cli.shared.options import DatasetName, Json
from curate.cli.shared.output import emit, emit_json, emit_parts
from curate.cli.shared.planned import plan_json, plan_lines
from curate.cli.shared.session import Session
from curate.configs.schema import CANCELLED, PAUSED
from curate.configs.settings import without_passwords
from curate.configs.shown import counted, formatted, seconds_text
from curate.db.reports.at_work import BatchAtWork
from curate.db.reports.failures import failures
from curate.db.reports.forms import earlier_forms
from curate.db.reports.frames import FrameCounts, count_frames
from curate.db.reports.overview import DatasetView, condition
from curate.db.reports.progress import Totals
from curate.db.reports.workers import busy_processes
from curate.db.spending import spent_by_stage
from curate.tasks.registry import stages
from curate.tasks.servers.server_stage import ServerStage
from curate.worker.session.database import OpenDataset, open_dataset
from curate.worker.session.display import Display, Lines, at_work_text, time_left
from curate.worker.session.follow import Watcher

WATCH_SECONDS = 2.0
COLUMNS = ["stage", "queue", "waiting", "running", "done", "dropped", "failed", "rate/s", "eta"]
SPARE = ("queue", "rate/s", "eta")
MOST_KINDS = 3  # of failures, in the table


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
    last minute, or the time of two batches, without pauses · left: until all stages are done, if it
    goes on like that.

    Example:
      curate status
      curate status videos --json
    """
    session = Session.of(ctx)
    opened = open_dataset(session, dataset)
    watcher = Watcher(opened, session.settings)
    view = _watch(session, watcher) if watch else watcher.look()
    report = status_json(session, opened, view)
    if as_json:
        emit_json(report)
    else:
        _print_table(session, opened, view, report)
        warn_of_refilter(session, opened)
        session.next(*next_commands(opened.name, report))
    if fail_on_error and view.totals.failed:
        raise typer.Exit(1)


def _watch(session: Session, watcher: Watcher) -> DatasetView:
    """Show the table until nothing is left to do, or Ctrl-C; in place on a terminal only. Returns
    the last view.
    """
    display: Display = Lines(session.console)
    if sys.stdout.isatty():
        from curate.cli.shared.displays import LiveBars  # loads rich

        display = LiveBars()
    view = watcher.look()
    try:
        while True:
            display.show(view)
            if view.over:
                return view
            time.sleep(WATCH_SECONDS)
            view = watcher.look()
    except KeyboardInterrupt:
        return view
    finally:
        display.close()


def status_json(session: Session, opened: OpenDataset, view: DatasetView) -> dict[str, Any]:
    """Everything that status shows, as JSON."""
    stages = [
        {
            "stage": s.stage, "queue": s.queue, "waiting": s.waiting, "running": s.running,
            "done": s.done, "dropped": s.dropped, "failed": s.failed, "rate": s.rate,
            "eta_seconds": s.eta,
        }
        for s in view.stages
    ]  # fmt: skip
    failed = failures(opened.engine, opened.dataset.id)
    return {
        "dataset": opened.name, "state": condition(view, bool(opened.dataset.refiltering)),
        "root": opened.dataset.root, "stages": stages,
        "totals": asdict(view.totals), "shares": view.totals.shares(), "eta_seconds": view.eta,
        "at_work": [at_work_json(batch) for batch in view.at_work],
        "failures": [asdict(f) | {"message": session.advise(f.message)} for f in failed],
        "frames": asdict(count_frames(opened.engine, opened.dataset.id)),
        "held_up": [
            asdict(b) | {"message": session.advise(b.message)} for b in view.blocked
        ],
        "earlier_forms": [
            asdict(e) for e in earlier_forms(opened.engine, opened.dataset, opened.pipeline)
        ],
        "workers": busy_processes(opened.engine, opened.dataset),
        "spending": [
            {"stage": stage, **asdict(spent), "max_cost": budget_of(opened, stage)}
            for stage, spent in spent_by_stage(opened.engine, opened.dataset.id).items()
        ],
        "plan": plan_json(opened, view, session.settings.samples),
    }  # fmt: skip


def at_work_json(batch: BatchAtWork) -> dict[str, Any]:
    """How far a batch is that has been at work for a while, as JSON."""
    names = ("stage", "path", "rows", "frames", "of_frames", "seconds", "row_seconds")
    return {name: getattr(batch, name) for name in names} | {
        "frames_per_second": batch.frame_rate, "speed": batch.speed, "eta_seconds": batch.eta
    }  # fmt: skip


def _print_table(
    session: Session, opened: OpenDataset, view: DatasetView, report: dict[str, Any]
) -> None:
    state = "" if report["state"] in ("running", "waiting") else f"   {report['state']}"
    print(f"dataset {opened.name}   {formatted(without_passwords(opened.dataset.root))}{state}")
    rows = [
        s | {"rate/s": s["rate"], "eta": seconds_text(s["eta_seconds"])} for s in report["stages"]
    ]
    emit(rows, False, COLUMNS, SPARE)
    totals = Totals(**report["totals"])
    emit_parts([f"{name} {share:.1f} %" for name, share in totals.shares().items()])
    rows_there = (counted(totals.videos, "video"), counted(totals.clips, "clip"))
    at_work = f"{counted(len(report['workers']), 'worker')} at work"
    emit_parts([*rows_there, at_work, *filter(None, [time_left(view)])])
    for batch in view.at_work:
        print(at_work_text(batch))
    failed = report["failures"]
    for f in failed[:MOST_KINDS]:
        one = f"{f['rows']} x {f['error']} in {f['stage']}, e.g. {f['path']}"
        print(formatted(without_passwords(one)))
    if more := failed[MOST_KINDS:]:
        kinds = "kind" if len(more) == 1 else "kinds"
        print(f"and {len(more)} more {kinds}: {session.command('errors', opened.name)}")
    if lost := lost_text(FrameCounts(**report["frames"])):
        print(formatted(f"{lost}, e.g. {report['frames']['example']}"))
    for blocked in report["held_up"]:
        print(formatted(f"{blocked['stage']} is blocked: {blocked['message']}"))
    for spent in report["spending"]:
        print(spending_text(spent))
    for line in plan_lines(report["plan"], totals.videos, view.over) if report["plan"] else ():
        print(line)
    for earlier in report["earlier_forms"]:
        stage, subject = earlier["stage"], counted(earlier["rows"], earlier["level"])
        advice = f"; for clips by the rules of today: {opened.dataset.run_anew()}"
        if earlier["level"] == "clip":
            advice = f", not to be compared with the others: `curate redo {stage} DATASET`"
        session.console.warn(f"{stage} of {subject} is of an earlier form{advice}")
    if warning := version_difference(opened.engine):
        session.console.warn(warning)


def budget_of(opened: OpenDataset, stage: str) -> float | None:
    """What the requests of a stage may cost; None: any sum."""
    cls = stages().get(stage)
    if cls is None or not issubclass(cls, ServerStage) or stage not in opened.pipeline.by_name:
        return None
    return cls.max_cost(opened.pipeline.by_name[stage].options) or None


def spending_text(spent: Mapping[str, Any]) -> str:
    """What the requests of a stage have cost, in a line."""
    tokens = f"{spent['tokens_in']} tokens read, {spent['tokens_out']} written"
    text = f"{spent['stage']}: {counted(spent['requests'], 'answer')}, {tokens}"
    if spent["cost"] or spent["max_cost"]:
        text += f", cost {spent['cost']:.4f}"
    return text + (f" of {spent['max_cost']:g}" if spent["max_cost"] else "")


def next_commands(name: str, report: dict[str, Any]) -> list[Sequence[str]]:
    """The natural next commands for a dataset of that name: the words behind `curate`."""
    table = (name, "-o", "clips.csv")
    if report["totals"]["active"]:
        at_work = report["workers"] and report["state"] not in (PAUSED, CANCELLED)
        return [("status", name, "--watch") if at_work else ("resume", *table)]
    wrong = report["totals"]["failed"] or report["frames"]["videos_with_losses"]
    return [("errors" if wrong else "filter", name), ("export", *table)]
