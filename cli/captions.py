"""`curate recaption`, `curate reclean` and `curate captions`: captions once more, cleaned anew, or from a table."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from curate.cli import options
from curate.cli.options import DatasetName, Json, Where
from curate.cli.redo import StageSets
from curate.cli.session import Opened, session

CLEAN = "clean_text"
AFTER = (CLEAN, "match")  # what a new caption goes through too

captions = typer.Typer(no_args_is_help=True, help="Captions from outside.")

Stage = Annotated[
    str | None,
    typer.Option("--stage", help="The captioner; needed when there are several.", autocompletion=options.stage_names),
]


def recaption(
    ctx: typer.Context,
    dataset: DatasetName = None,
    stage: Stage = None,
    where: Where = "",
    sets: StageSets = None,
    as_json: Json = False,
) -> None:
    """Caption clips once more, then clean and match the new captions; --set gives the captioner other options.

    Captions by another model, revision or prompt stay beside the new ones. Of clean_text and match those are done
    that the pipeline has behind the captioner.

    Example:
      curate recaption --set "openai.prompt=What does the camera do?" --where "text_len < 5"
    """
    from curate.cli.redo import again

    here = session(ctx)
    opened = here.open_dataset(dataset)
    chosen = _captioner(opened, stage)
    places = opened.pipeline.level_stages("clip")
    then = [name for name in places[places.index(chosen) :] if name in AFTER]
    again(here, opened.dataset.name, chosen, where, sets or (), as_json, then)


def reclean(
    ctx: typer.Context, dataset: DatasetName = None, where: Where = "", sets: StageSets = None, as_json: Json = False
) -> None:
    """Clean captions once more, from the texts as they were written; --set gives clean_text other options.

    The same as: curate redo clean_text.

    Example:
      curate reclean --set clean_text.clean=t5
    """
    from curate.cli.redo import again

    again(session(ctx), dataset, CLEAN, where, sets or (), as_json)


def _captioner(opened: Opened, stage: str | None) -> str:
    """The stage asked for, or the only captioner of the pipeline. Raises UsageError."""
    from curate.configs.errors import UsageError
    from curate.tasks.caption.stage import CaptionStage
    from curate.tasks.registry import stages

    found = [s.name for s in opened.pipeline.stages if issubclass(stages()[s.name], CaptionStage)]
    if stage in found or (stage is None and len(found) == 1):
        return stage or found[0]
    name = opened.dataset.name
    if not found:
        raise UsageError(what=f"dataset {name} has no captioner; it has {', '.join(_names(opened))}")
    asked = f"{stage} is no captioner of dataset {name}" if stage else f"dataset {name} has several captioners"
    raise UsageError(what=f"{asked}; choose with --stage {' or --stage '.join(found)}")


def _names(opened: Opened) -> list[str]:
    return [s.name for s in opened.pipeline.stages]


@captions.command()
def load(
    ctx: typer.Context,
    table: Annotated[str, typer.Argument(metavar="TABLE", help="CSV or Parquet with text, and path or clip_id too.")],
    dataset: DatasetName = None,
    as_json: Json = False,
) -> None:
    """Take captions from a table, such as an exported one with mended texts; they go before all others.

    A row is about the clip of its column clip_id or, without one, about that whose file or video has its path. What
    models have written stays in the table captions.

    Example:
      curate captions load mended.csv
    """
    from curate.cli.output import counted, emit_json
    from curate.db.captions import load as load_rows
    from curate.tasks.text.captions import HAND

    here = session(ctx)
    opened = here.open_dataset(dataset)
    done = load_rows(opened.engine, opened.dataset.id, _rows(table), HAND)
    name = opened.dataset.name
    if as_json:
        emit_json({"dataset": name, "loaded": done.loaded, "empty": done.empty, "unknown": done.unknown})
    else:
        print(f"dataset {name}: {counted(done.loaded, 'caption')} loaded")
    if done.empty:
        here.talk.warn(f"{counted(done.empty, 'row')} without a text passed over")
    if done.unknown:
        here.talk.warn(f"{counted(done.unknown, 'row')} about no clip of {name}, or about a video of several clips")
    if done.loaded and CLEAN in _names(opened):
        here.talk.next(f"curate reclean {name}", f"curate resume {name} -o clips.csv")


def _rows(table: str) -> Any:
    """Clip, path and text of each row. Raises NoInput, ConfigError."""
    from curate.configs.errors import ConfigError
    from curate.db.captions import Told
    from curate.tasks.tables import read_table

    for number, found in enumerate(read_table(table), 1):
        if "text" not in found.extra:
            raise ConfigError(source=table, why="it has no column text")
        clip = found.extra.get("clip_id")
        try:
            clip = None if clip is None else int(clip)
        except (ValueError, TypeError, OverflowError):
            raise ConfigError(source=table, why=f"row {number}: clip_id is {clip!r}, not a number") from None
        yield Told(clip, found.path, str(found.extra["text"] or "").strip())


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    for command in (recaption, reclean):
        app.command(rich_help_panel=options.ROWS)(command)
    app.add_typer(captions, name="captions", rich_help_panel=options.ROWS)
