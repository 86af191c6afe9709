"""A stage once more, or with other options: what `redo`, `set`, `recaption` and `reclean` share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any, cast

import typer

from curate.cli.shared.notify import next_after_notifying
from curate.cli.shared.output import emit_json
from curate.cli.shared.session import Session
from curate.configs.errors import NotFitted, UsageError
from curate.configs.names import did_you_mean
from curate.configs.pipeline import Pipeline
from curate.configs.shown import counted
from curate.db.fits import newest_fit
from curate.db.redo import Redone, count_redo, redo
from curate.tasks.bucket import Bucket
from curate.tasks.cut import Cut, CutOptions
from curate.tasks.dedup import Dedup
from curate.tasks.registry import stages
from curate.worker.session.database import OpenDataset
from curate.worker.session.pipelines import changed_pipeline, check_ready
from curate.worker.session.weights import check_models

StageSets = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="STAGE.OPTION=VALUE",
        help="Change an option of this stage; may be repeated.",
    ),
]


DryRun = Annotated[
    bool, typer.Option("--dry-run", "-n", help="Only count the clips that would go back.")
]


@dataclass(frozen=True)
class RedoRequest:
    """Which clips go through which stage once more, with which options.

    On their way back they also go through the later stages `then`. `pipeline`: instead of `sets`,
    the dataset's pipeline with other steps. `dry_run`: they are only counted.
    """

    stage: str
    where: str = ""
    sets: Sequence[str] = ()
    then: Sequence[str] = ()
    pipeline: Pipeline | None = None
    dry_run: bool = False


def redo_stage(session: Session, opened: OpenDataset, request: RedoRequest, as_json: bool) -> None:
    """Put clips back before a stage, and say how many and what follows.

    Raises UsageError, ConfigError, FilterError, ServiceError.
    """
    stage = request.stage
    opened = replace(opened, pipeline=request.pipeline or opened.pipeline)
    refuse_redo(opened, stage, request.where)
    if not request.where:
        also = [n for n in opened.stage_names if stage in stages()[n].redone_with]
        request = replace(request, then=[*request.then, *also])
    then = request.then
    pipeline = request.pipeline or with_options(opened, stage, request.sets)
    _refuse_other_mode(opened, pipeline)
    # something that only the other stages need may be missing
    alone = Pipeline(tuple(pipeline.by_name[name] for name in (stage, *then)))
    check_ready(alone)
    check_models(alone, session.settings.model_folder)
    put = count_redo if request.dry_run else redo
    done = put(opened.engine, opened.dataset, pipeline, stage, request.where, then)
    names = opened.stage_names
    stay = [name for name in names[names.index(stage) + 1 :] if name not in then]
    if as_json:
        dry = {"dry_run": True} if request.dry_run else {}
        named = {"repeated": [stage, *then], "stay": stay}
        emit_json({"dataset": opened.name, "stage": stage, **dry, **asdict(done), **named})
    else:
        clips = f"{counted(done.back, 'clip')} back to {' and '.join([stage, *then])}"
        later = f", {done.at_work} of them when the batch they are in is done"
        print(f"dataset {opened.name}: {clips}{later if done.at_work else ''}")
        _say_what_follows(session, request, done, stay)
    if not done.back:
        why = f"no clip of {opened.name} is through {stage}, or failed in it"
        if done.dropped:
            why = (
                f"no clip goes back: a filter before {stage} drops {counted(done.dropped, 'clip')}"
            )
        elif request.where:
            which = f"no clip of {opened.name} that is through {stage}, or failed in it"
            why = f"{which}, matches --where {request.where!r}"
        session.console.warn(why)
    if request.where and request.sets:
        session.console.warn(
            "clips for which --where is not true keep what they have by the old options"
        )
    if readers := later_readers(opened, request):
        redos = "   ".join(session.command("redo", reader, opened.name) for reader in readers)
        which = ", ".join(readers)
        session.console.say(f"{which} read what {stage} writes; for new values there too: {redos}")
    if done.back and not request.dry_run:
        changed = OpenDataset(opened.engine, opened.dataset, pipeline)
        session.next(next_after_notifying(session, changed))


def _say_what_follows(
    session: Session, request: RedoRequest, done: Redone, stay: Sequence[str]
) -> None:
    """Say which clips are kept no longer, and whose results stay as they are."""
    if done.kept:
        them = f"{done.kept} of them, kept until now, "
        session.console.say(f"{them}wait for it; the filters decide anew when it is done")
    if done.back and stay:
        session.console.say(f"what later stages have measured stays: {', '.join(stay)}")
    if request.dry_run:
        session.console.say("nothing was written")


def refuse_redo(opened: OpenDataset, stage: str, where: str = "") -> None:
    """Raise UsageError for a stage that cannot be done again by itself, or not for some clips, with
    the way that works; NotFitted for one that is not fitted.
    """
    step = find_step(opened, stage)
    new = f"start a new dataset with: {opened.dataset.run_anew()}"
    if step.level == "video":
        raise UsageError(what=f"{stage} works on videos, and split makes their clips anew; {new}")
    if step.order and where:
        raise UsageError(
            what=f"{stage} compares each clip with all before it, so it is done again for all clips"
            f" or none: `curate redo {stage} DATASET`"
        )
    needed = stages()[stage].fitted
    if needed and newest_fit(opened.engine, opened.dataset.id, needed) is None:
        raise NotFitted(stage=stage)
    changed_by = cut_changes(opened.pipeline)
    if stage in (Cut.name, Bucket.name) and changed_by:
        raise UsageError(
            what=f"cut has changed the clips by {changed_by}, and {stage} cannot start from them"
            f" again; {new}"
        )


def _refuse_other_mode(opened: OpenDataset, pipeline: Pipeline) -> None:
    """Raise UsageError where clips that were copied shall be cut in another mode: their num_frames
    counts the frames that a copy shows behind the span.
    """
    modes = [
        cast(CutOptions, one.by_name[Cut.name].options).mode if Cut.name in one.by_name else None
        for one in (opened.pipeline, pipeline)
    ]
    if modes[0] == "copy" != modes[1]:
        new = opened.dataset.run_anew("--set", f"{Cut.name}.mode={modes[1]}")
        raise UsageError(
            what="cut has copied the clips, with what is shown behind their ends, and cannot start"
            f" from them in another mode; start a new dataset with: {new}"
        )


def cut_changes(pipeline: Pipeline) -> str:
    """The option by which cut changes the rate or size of clips; empty if it does not. It writes
    these of its files where it would look for those of the source, so it cannot cut a clip again.
    """
    if Cut.name not in pipeline.by_name:
        return ""
    return next(iter(cast(CutOptions, pipeline.by_name[Cut.name].options).changing), "")


def find_step(opened: OpenDataset, stage: str) -> Any:
    """The step of a stage. Raises UsageError when the pipeline has none."""
    if stage not in opened.pipeline.by_name:
        names = ", ".join(opened.stage_names)
        near = did_you_mean(stage, opened.stage_names)
        raise UsageError(what=f"dataset {opened.name} has no stage {stage}{near}; it has {names}")
    return opened.pipeline.by_name[stage]


def with_options(opened: OpenDataset, stage: str, sets: Sequence[str]) -> Pipeline:
    """The pipeline with other options for one stage. Raises UsageError, ConfigError."""
    for assignment in sets:
        name, _, option = assignment.partition("=")[0].strip().partition(".")
        if name != stage or option.strip() in ("enabled", "stage"):
            raise UsageError(what=f"--set {assignment}: only options of {stage} may change here")
        if name == Dedup.name and option.strip() in ("hash", "views"):
            raise UsageError(
                what=f"--set {assignment}: split hashed the clips by the option as it was;"
                f" start a new dataset with: {opened.dataset.run_anew('--set', assignment)}"
            )
    return changed_pipeline(opened.dataset, sets)


def later_readers(opened: OpenDataset, request: RedoRequest) -> list[str]:
    """The later stages that read what the stage writes and are not done again."""
    written = set(stages()[request.stage].writes)
    names = opened.stage_names
    later = [n for n in names[names.index(request.stage) + 1 :] if n not in request.then]
    return [name for name in later if written & set(stages()[name].reads)]
