"""A stage once more, with other options: what `redo`, `set`, `recaption` and `reclean` share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from curate.cli.shared.database import OpenDataset, open_dataset
from curate.cli.shared.notify import notify_workers
from curate.cli.shared.output import counted, emit_json
from curate.cli.shared.pipelines import check, check_ready
from curate.cli.shared.session import Session
from curate.cli.shared.weights import check_models
from curate.configs.errors import UsageError
from curate.configs.pipeline import Pipeline, override, parse
from curate.db.redo import redo as put_back
from curate.tasks.registry import stages

StageSets = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="STAGE.OPTION=VALUE",
        help="Change an option of this stage; may be repeated.",
    ),
]


def redo_stage(
    session: Session,
    dataset: str | None,
    stage: str,
    where: str,
    sets: Sequence[str],
    as_json: bool,
    then: Sequence[str] = (),
) -> None:
    """What `redo` does; on their way back the clips also go through the later stages `then`. Raises
    as `redo`.
    """
    opened = open_dataset(session, dataset)
    _refuse(opened, stage)
    pipeline = changed(opened, stage, sets)
    _check_ready(session, pipeline, [stage, *then])
    done = put_back(opened.engine, opened.dataset, pipeline, stage, where, then)
    name = opened.dataset.name
    if as_json:
        found = {"back": done.back, "at_work": done.at_work, "dropped": done.dropped}
        emit_json({"dataset": name, "stage": stage, **found})
    else:
        later = (
            f", {done.at_work} of them when the batch they are in is done" if done.at_work else ""
        )
        print(
            f"dataset {name}: {counted(done.back, 'clip')} back to {' and '.join([stage, *then])}{later}"
        )
    _remark(session, opened, stage, bool(where and sets), then)
    _next(session, OpenDataset(opened.engine, opened.dataset, pipeline), done.back)


def _refuse(opened: OpenDataset, stage: str) -> None:
    """Raise UsageError for a stage that cannot be done again by itself, saying what to do instead."""
    step = find_step(opened, stage)
    new = "start a new dataset with: curate run … --name NEW"
    if step.level == "video":
        raise UsageError(what=f"{stage} works on videos, and split makes their clips anew; {new}")
    if step.spec.order(step.options):
        what = f"{stage} compares each clip with all before it, so it cannot be done again for clips that went on"
        raise UsageError(what=f"{what}; change its filter with: curate refilter. Or {new}")
    # cut wrote the new rate and size where the next one would look for those of the source
    overwritten = [
        o
        for o in ("target_fps", "shorter_size")
        if stage == "cut" and getattr(step.options, o, None)
    ]
    if overwritten:
        raise UsageError(
            what=f"cut has changed the clips by {overwritten[0]} and cannot start from them again; {new}"
        )


def find_step(opened: OpenDataset, stage: str) -> Any:
    if not opened.pipeline.has(stage):
        names = ", ".join(s.name for s in opened.pipeline.stages)
        raise UsageError(what=f"dataset {opened.dataset.name} has no stage {stage}; it has {names}")
    return opened.pipeline.stage(stage)


def changed(opened: OpenDataset, stage: str, sets: Sequence[str]) -> Any:
    """The dataset's pipeline with other options for a stage. Raises UsageError, ConfigError."""
    for assignment in sets:
        name, _, option = assignment.partition("=")[0].strip().partition(".")
        if name != stage or option.strip() in ("enabled", "stage"):
            raise UsageError(what=f"--set {assignment}: only options of {stage} may change here")
    steps = override(opened.dataset.frozen, sets)
    pipeline = parse(steps, stages(), f"the pipeline of dataset {opened.dataset.name}")
    check(pipeline, ready=False)
    return pipeline


def _check_ready(session: Session, pipeline: Any, names: Sequence[str]) -> None:
    """Raise ServiceError when something that these stages need is missing; what the others need is
    theirs.
    """
    alone = Pipeline(tuple(pipeline.stage(name) for name in names))
    check_ready(alone)
    check_models(alone, session.settings.model_folder)


def _remark(
    session: Session, opened: OpenDataset, stage: str, some_keep: bool, then: Sequence[str] = ()
) -> None:
    if some_keep:
        session.console.warn(
            "clips for which --where is not true keep what they have by the old options"
        )
    written = set(stages()[stage].writes)
    names = [s.name for s in opened.pipeline.stages]
    behind = [name for name in names[names.index(stage) + 1 :] if name not in then]
    readers = [name for name in behind if written & set(stages()[name].reads)]
    if readers:
        redos = "   ".join(f"curate redo {reader} {opened.dataset.name}" for reader in readers)
        session.console.say(
            f"{', '.join(readers)} read what {stage} writes; for new values there too: {redos}"
        )


def _next(session: Session, opened: OpenDataset, rows: int) -> None:
    name = opened.dataset.name
    if rows:
        notified = notify_workers(session, opened)
        session.console.next(
            f"curate status {name} --watch" if notified else f"curate resume {name} -o clips.csv"
        )
