"""`curate redo` and `curate set`: a stage once more, and other options for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from curate.cli import options
from curate.cli.options import DatasetName, Json, Where, stage_names
from curate.cli.session import Opened, Session, session

StageName = Annotated[
    str,
    typer.Argument(
        metavar="STAGE", help="The stage to go through again.", autocompletion=stage_names
    ),
]
StageSets = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="STAGE.OPTION=VALUE",
        help="Change an option of this stage; may be repeated.",
    ),
]


def redo(
    ctx: typer.Context,
    stage: StageName,
    dataset: DatasetName = None,
    where: Where = "",
    sets: StageSets = None,
    as_json: Json = False,
) -> None:
    """Put clips that are through with a stage, or failed in it, back before it; --set gives it
    other options.

    Once done they return to where they stood, and the filters decide anew. No other stage is
    computed again.

    Example:
      curate redo option_match --set option_match.texts='[a dog, a cat]'
      curate redo motion --where "flow > 50"
    """
    again(session(ctx), dataset, stage, where, sets or (), as_json)


def again(
    here: Session,
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
    from curate.cli.output import counted, emit_json
    from curate.db.redo import redo as put_back

    opened = here.open_dataset(dataset)
    _refuse(opened, stage)
    pipeline = changed(opened, stage, sets)
    _check_ready(here, pipeline, [stage, *then])
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
    _remark(here, opened, stage, bool(where and sets), then)
    _next(here, Opened(opened.engine, opened.dataset, pipeline), done.back)


def _refuse(opened: Opened, stage: str) -> None:
    """Raise UsageError for a stage that cannot be done again by itself, saying what to do instead."""
    from curate.configs.errors import UsageError

    step = _step(opened, stage)
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


def _step(opened: Opened, stage: str) -> Any:
    from curate.configs.errors import UsageError

    if not opened.pipeline.has(stage):
        names = ", ".join(s.name for s in opened.pipeline.stages)
        raise UsageError(what=f"dataset {opened.dataset.name} has no stage {stage}; it has {names}")
    return opened.pipeline.stage(stage)


def changed(opened: Opened, stage: str, sets: Sequence[str]) -> Any:
    """The dataset's pipeline with other options for a stage. Raises UsageError, ConfigError."""
    from curate.cli.pipeline import check
    from curate.configs.errors import UsageError
    from curate.configs.pipeline import override, parse
    from curate.tasks.registry import stages

    for assignment in sets:
        name, _, option = assignment.partition("=")[0].strip().partition(".")
        if name != stage or option.strip() in ("enabled", "stage"):
            raise UsageError(what=f"--set {assignment}: only options of {stage} may change here")
    steps = override(opened.dataset.frozen, sets)
    pipeline = parse(steps, stages(), f"the pipeline of dataset {opened.dataset.name}")
    check(pipeline, ready=False)
    return pipeline


def _check_ready(here: Session, pipeline: Any, names: Sequence[str]) -> None:
    """Raise ServiceError when something that these stages need is missing; what the others need is
    theirs.
    """
    from curate.cli.pipeline import check_models, check_ready
    from curate.configs.pipeline import Pipeline

    alone = Pipeline(tuple(pipeline.stage(name) for name in names))
    check_ready(alone)
    check_models(alone, here.settings.model_folder)


def _remark(
    here: Session, opened: Opened, stage: str, some_keep: bool, then: Sequence[str] = ()
) -> None:
    from curate.tasks.registry import stages

    if some_keep:
        here.talk.warn("clips for which --where is not true keep what they have by the old options")
    written = set(stages()[stage].writes)
    names = [s.name for s in opened.pipeline.stages]
    behind = [name for name in names[names.index(stage) + 1 :] if name not in then]
    readers = [name for name in behind if written & set(stages()[name].reads)]
    if readers:
        redos = "   ".join(f"curate redo {reader} {opened.dataset.name}" for reader in readers)
        here.talk.say(
            f"{', '.join(readers)} read what {stage} writes; for new values there too: {redos}"
        )


def _next(here: Session, opened: Opened, rows: int) -> None:
    from curate.cli.run import ring_waiting

    name = opened.dataset.name
    if rows:
        rung = ring_waiting(here, opened)
        here.talk.next(
            f"curate status {name} --watch" if rung else f"curate resume {name} -o clips.csv"
        )


def set_(
    ctx: typer.Context,
    assignment: Annotated[
        str, typer.Argument(metavar="STAGE.OPTION=VALUE", help="The option and its new value.")
    ],
    dataset: DatasetName = None,
    as_json: Json = False,
) -> None:
    """Change how a stage runs: queue, batch_size, pass_size, fill_seconds, time_limit, memory_mb.

    No row has to go back for it. Batches at work go on with what they started with.
    Other options change scores: see curate redo.

    Example:
      curate set cut.time_limit=3600
    """
    from curate.cli.output import emit_json
    from curate.cli.pipeline import differences
    from curate.configs.errors import UsageError
    from curate.db.redo import set_pipeline

    here = session(ctx)
    opened = here.open_dataset(dataset)
    stage, _, option = assignment.partition("=")[0].strip().partition(".")
    changeable = _step(opened, stage).options.change_no_score
    if option.strip() not in changeable:
        instead = f"for one that changes scores: curate redo {stage} --set {assignment}"
        raise UsageError(
            what=f"{assignment}: what may change is {', '.join(changeable)}; {instead}"
        )
    pipeline = changed(opened, stage, [assignment])
    changes = differences(opened.dataset.frozen, pipeline.frozen())
    set_pipeline(opened.engine, opened.dataset, pipeline)
    if as_json:
        emit_json({"dataset": opened.dataset.name, "changed": changes})
    else:
        print(f"dataset {opened.dataset.name}: {', '.join(changes) or 'nothing changed'}")
    here.talk.next(
        f"curate retry {opened.dataset.name} --stage {stage}",
        f"curate resume {opened.dataset.name}",
    )


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command(rich_help_panel=options.ROWS)(redo)
    app.command("set", rich_help_panel=options.ROWS)(set_)
