"""`curate enqueue`: new and changed videos join a dataset."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import typer

from curate.cli.shared.notify import notify_workers
from curate.cli.shared.options import Config, Images, Json, Name, Sets, Sources
from curate.cli.shared.output import Counter, emit_json
from curate.cli.shared.session import Session
from curate.configs.pipeline import Pipeline
from curate.configs.schema import RUNNING
from curate.configs.shown import plain
from curate.worker.session.enqueuing import EnqueueReport, EnqueueRequest, enqueue_videos, preview


def enqueue(
    ctx: typer.Context,
    sources: Sources,
    config: Config = None,
    sets: Sets = None,
    name: Name = None,
    images: Images = False,
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
    session = Session.of(ctx)
    request = EnqueueRequest(sources, config, sets or (), name, images)
    opened = None
    with Counter(session.console, "files found") as counter:
        request = replace(request, report=counter.show)
        if dry_run:
            dataset, pipeline, report = preview(session, request)
        else:
            opened, report = enqueue_videos(session, request)
            dataset, pipeline = opened.name, opened.pipeline
    if opened and opened.dataset.state != RUNNING:
        state = f"dataset {dataset} is {opened.dataset.state}"
        go_on = session.command("resume", dataset)
        session.console.warn(f"{state}; go on with: {go_on}")
    if as_json:
        emit_json({"dataset": dataset, "dry_run": dry_run, **_as_json(pipeline, report)})
    else:
        stages = ", ".join(f"{s.name} ({s.options.queue})" for s in pipeline.stages)
        lines = [f"dataset {dataset}: {report}", *report.remarks(), f"stages: {stages}"]
        print(session.advise("\n".join(map(plain, lines))))
    for line in report.warnings():
        session.console.warn(line)
    if opened is None:
        session.next(_same_without_n(request))
    elif notify_workers(session, opened):
        session.next(("status", dataset, "--watch"))
    else:
        session.next(("worker",), ("resume", dataset, "-o", "clips.csv"))


def _as_json(pipeline: Pipeline, report: EnqueueReport) -> dict[str, Any]:
    counts, passed_over = report.counts, report.passed_over
    return {
        "found": counts.found, "new": counts.new, "changed": counts.changed,
        "unchanged": counts.unchanged, "gone": counts.gone, "named_twice": passed_over.duplicates,
        "skipped": dict(report.skipped), "pictures_left_out": counts.left_out,
        "only_pictures": passed_over.only_pictures, "own": passed_over.own,
        "unreadable": [path for path, _ in passed_over.unreadable],
        "stages": [{"stage": s.name, "queue": s.options.queue} for s in pipeline.stages],
    }  # fmt: skip


def _same_without_n(request: EnqueueRequest) -> list[str]:
    """The words of the command line of a dry run, without -n."""
    words: list[str] = []
    words += ["--config", str(request.config)] if request.config else []
    words += [word for assignment in request.sets for word in ("--set", assignment)]
    words += ["--name", request.name] if request.name else []
    words += ["--images"] if request.images else []
    if any(source.startswith("-") for source in request.sources):
        return ["enqueue", *words, "--", *request.sources]
    return ["enqueue", *request.sources, *words]
