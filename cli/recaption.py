"""`curate recaption`: clips are captioned once more."""

from __future__ import annotations

from typing import Annotated

import typer

from curate.cli.shared.by_hand import CLEAN, clips_by_hand
from curate.cli.shared.one_stage import DryRun, RedoRequest, StageSets, redo_stage
from curate.cli.shared.options import DatasetName, Json, Where, stage_names
from curate.cli.shared.session import Session
from curate.configs.errors import UsageError
from curate.configs.shown import counted
from curate.tasks.captioners.stages import CaptionStage
from curate.tasks.multi_caption import MultiCaption
from curate.tasks.registry import stages
from curate.worker.session.database import OpenDataset, open_dataset

AFTER = ("rewrite", CLEAN, "match", "text_embed")  # what a new caption goes through too


CaptionerStage = Annotated[
    str | None,
    typer.Option(
        "--stage",
        help="The captioner; needed when there are several.",
        autocompletion=stage_names,
    ),
]


def recaption(
    ctx: typer.Context,
    dataset: DatasetName = None,
    stage: CaptionerStage = None,
    where: Where = "",
    sets: StageSets = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Caption clips once more, then clean and match the new captions; --set gives the captioner
    other options.

    Captions by another model, revision or prompt stay beside the new ones. Of rewrite,
    clean_text, match and text_embed those are done that the pipeline has behind the captioner.

    Example:
      curate recaption --set "openai.prompt=What does the camera do?" --where "text_len < 5"
    """
    session = Session.of(ctx)
    opened = open_dataset(session, dataset)
    captioner = _find_captioner(opened, stage)
    names = opened.pipeline.level_stages("clip")
    then = [name for name in names[names.index(captioner) :] if name in AFTER]
    by_hand = len(clips_by_hand(opened, where)) if CLEAN in then else 0
    request = RedoRequest(captioner, where, sets or (), then, dry_run=dry_run)
    redo_stage(session, opened, request, as_json)
    if by_hand:
        have = f"{counted(by_hand, 'clip')} {'has' if by_hand == 1 else 'have'}"
        take_back = session.command("captions", "drop", opened.name)
        session.console.warn(f"{have} a text by hand, which stays; to take it back: {take_back}")


def _find_captioner(opened: OpenDataset, stage: str | None) -> str:
    """The stage that --stage names, or the only captioner of the pipeline. Raises UsageError."""
    captioning = (CaptionStage, MultiCaption)
    names = [name for name in opened.stage_names if issubclass(stages()[name], captioning)]
    if stage in names or (stage is None and len(names) == 1):
        return stage or names[0]
    dataset = f"dataset {opened.name}"
    if not names:
        existing = ", ".join(opened.stage_names)
        raise UsageError(what=f"{dataset} has no captioner; it has {existing}")
    why = f"{stage} is no captioner of {dataset}" if stage else f"{dataset} has several captioners"
    raise UsageError(what=f"{why}; choose with --stage {' or --stage '.join(names)}")
