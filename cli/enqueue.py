"""`curate enqueue`: new and changed videos join a dataset."""

from __future__ import annotations

import shlex
from typing import Annotated, Any

import typer

from curate.cli.shared.database import OpenDataset
from curate.cli.shared.notify import notify_workers
from curate.cli.shared.options import (
    Config,
    Json,
    Name,
    Sets,
    Sources,
)
from curate.cli.shared.output import emit_json
from curate.cli.shared.session import Session
from curate.cli.shared.sources import EnqueueRequest, look
from curate.cli.shared.sources import enqueue as put
from curate.configs.schema import RUNNING


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
    session = Session.of(ctx)
    request = EnqueueRequest(sources, config, sets or (), name)
    if dry_run:
        dataset_name, pipeline, found = look(session, request)
    else:
        opened, found = put(session, request)
        dataset_name, pipeline = opened.dataset.name, opened.pipeline
        if opened.dataset.state != RUNNING:
            state = opened.dataset.state
            session.console.warn(
                f"dataset {dataset_name} is {state}; go on with: curate resume {dataset_name}"
            )
    if as_json:
        emit_json(_as_json(dataset_name, pipeline, found, dry_run))
    else:
        _tell(session, dataset_name, pipeline, found)
    for line in found.warnings():
        session.console.warn(line)
    session.console.next(
        *([_same_without_n(request)] if dry_run else _after_enqueue(session, opened))
    )


def _as_json(name: str, pipeline: Any, found: Any, dry_run: bool) -> dict[str, Any]:
    counts = found.counts
    stages = [{"stage": s.name, "queue": s.options.queue} for s in pipeline.stages]
    return {
        "dataset": name, "dry_run": dry_run, "found": counts.found, "new": counts.new, "changed": counts.changed,
        "unchanged": counts.unchanged, "named_twice": found.passed_over.duplicates,
        "unreadable": [path for path, _ in found.passed_over.unreadable], "stages": stages,
    }  # fmt: skip


def _tell(session: Session, name: str, pipeline: Any, found: Any) -> None:
    for line in found.lines():
        print(f"dataset {name}: {line}")
    print(f"stages: {', '.join(f'{s.name} ({s.options.queue})' for s in pipeline.stages)}")


def _same_without_n(request: Any) -> str:
    words = list(request.sources)
    words += ["--config", str(request.config)] if request.config else []
    words += [word for assignment in request.sets for word in ("--set", assignment)]
    words += ["--name", request.name] if request.name else []
    return f"curate enqueue {shlex.join(words)}"


def _after_enqueue(session: Session, opened: OpenDataset) -> list[str]:
    """Ring the first stage when a broker can be reached; the natural next commands."""
    if notify_workers(session, opened):
        return [f"curate status {opened.dataset.name} --watch"]
    return ["curate worker", f"curate resume {opened.dataset.name} -o clips.csv"]
