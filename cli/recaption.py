"""`curate recaption`: clips are captioned once more."""

from __future__ import annotations

from typing import Annotated

import typer

from curate.cli.shared import options
from curate.cli.shared.by_hand import CLEAN, _names, with_text_by_hand
from curate.cli.shared.database import OpenDataset, open_dataset
from curate.cli.shared.one_stage import StageSets, redo_stage
from curate.cli.shared.options import DatasetName, Json, Where
from curate.cli.shared.output import counted
from curate.cli.shared.session import Session
from curate.configs.errors import UsageError
from curate.tasks.captioners.stages import CaptionStage
from curate.tasks.registry import stages

AFTER = (CLEAN, "match")  # what a new caption goes through too


Stage = Annotated[
    str | None,
    typer.Option(
        "--stage",
        help="The captioner; needed when there are several.",
        autocompletion=options.stage_names,
    ),
]


def recaption(
    ctx: typer.Context,
    dataset: DatasetName = None,
    stage: Stage = None,
    where: Where = "",
    sets: StageSets = None,
    as_json: Json = False,
) -> None:
    """Caption clips once more, then clean and match the new captions; --set gives the captioner
    other options.

    Captions by another model, revision or prompt stay beside the new ones. Of clean_text and match
    those are done that the pipeline has behind the captioner.

    Example:
      curate recaption --set "openai.prompt=What does the camera do?" --where "text_len < 5"
    """
    session = Session.of(ctx)
    opened = open_dataset(session, dataset)
    chosen = _captioner(opened, stage)
    places = opened.pipeline.level_stages("clip")
    then = [name for name in places[places.index(chosen) :] if name in AFTER]
    by_hand = len(with_text_by_hand(opened, where)) if CLEAN in then else 0
    redo_stage(session, opened.dataset.name, chosen, where, sets or (), as_json, then)
    if by_hand:
        have = f"{counted(by_hand, 'clip')} {'has' if by_hand == 1 else 'have'} a text by hand, which stays"
        session.console.warn(f"{have}; to take it back: curate captions drop {opened.dataset.name}")


def _captioner(opened: OpenDataset, stage: str | None) -> str:
    """The stage asked for, or the only captioner of the pipeline. Raises UsageError."""
    found = [s.name for s in opened.pipeline.stages if issubclass(stages()[s.name], CaptionStage)]
    if stage in found or (stage is None and len(found) == 1):
        return stage or found[0]
    name = opened.dataset.name
    if not found:
        raise UsageError(
            what=f"dataset {name} has no captioner; it has {', '.join(_names(opened))}"
        )
    asked = (
        f"{stage} is no captioner of dataset {name}"
        if stage
        else f"dataset {name} has several captioners"
    )
    raise UsageError(what=f"{asked}; choose with --stage {' or --stage '.join(found)}")
