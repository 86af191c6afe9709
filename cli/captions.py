"""`curate recaption`, `reclean`, `captions load` and `drop`: captions once more, cleaned anew, or
by hand.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from curate.cli import options
from curate.cli.options import DatasetName, Json, Where
from curate.cli.redo import StageSets
from curate.cli.session import Opened, Session, session

CLEAN = "clean_text"
AFTER = (CLEAN, "match")  # what a new caption goes through too

captions = typer.Typer(no_args_is_help=True, help="Captions from outside.")

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
    from curate.cli.output import counted
    from curate.cli.redo import again

    here = session(ctx)
    opened = here.open_dataset(dataset)
    chosen = _captioner(opened, stage)
    places = opened.pipeline.level_stages("clip")
    then = [name for name in places[places.index(chosen) :] if name in AFTER]
    by_hand = len(_by_hand(opened, where)) if CLEAN in then else 0
    again(here, opened.dataset.name, chosen, where, sets or (), as_json, then)
    if by_hand:
        have = f"{counted(by_hand, 'clip')} {'has' if by_hand == 1 else 'have'} a text by hand, which stays"
        here.talk.warn(f"{have}; to take it back: curate captions drop {opened.dataset.name}")


def reclean(
    ctx: typer.Context,
    dataset: DatasetName = None,
    where: Where = "",
    sets: StageSets = None,
    as_json: Json = False,
) -> None:
    """Clean captions once more, from the texts as they were written; --set gives clean_text other
    options.

    The same as: curate redo clean_text.

    Example:
      curate reclean --set clean_text.clean=t5
    """
    from curate.cli.redo import again

    again(session(ctx), dataset, CLEAN, where, sets or (), as_json)


def _captioner(opened: Opened, stage: str | None) -> str:
    """The stage asked for, or the only captioner of the pipeline. Raises UsageError."""
    from curate.configs.errors import UsageError
    from curate.tasks.captioners.stage import CaptionStage
    from curate.tasks.registry import stages

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


def _by_hand(opened: Opened, where: str) -> list[int]:
    """The clips with a text by hand. Raises FilterError."""
    from curate.db.captions import having
    from curate.tasks.text.captions import HAND

    return having(opened.engine, opened.dataset.id, where, opened.pipeline.columns(), HAND)


def _names(opened: Opened) -> list[str]:
    return [s.name for s in opened.pipeline.stages]


@captions.command()
def load(
    ctx: typer.Context,
    table: Annotated[
        str, typer.Argument(metavar="TABLE", help="CSV or Parquet with text, and path or clip_id.")
    ],
    dataset: DatasetName = None,
    as_json: Json = False,
) -> None:
    """Take captions from a table, such as an exported one with mended texts; they go before all
    others.

    A row is about the clip of its column clip_id or, without one, about that whose file or video
    has its path. One that holds what is the clip's text already is passed over. What models have
    written stays in the table captions.

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
        emit_json({"dataset": name, **asdict(done)})
    else:
        print(
            f"dataset {name}: {counted(done.loaded, 'caption')} loaded, {done.unchanged} unchanged"
        )
    if done.empty:
        here.talk.warn(f"{counted(done.empty, 'row')} without a text passed over")
    if done.unknown:
        here.talk.warn(
            f"{counted(done.unknown, 'row')} about no clip of {name}, or about a video of several clips"
        )
    _next(here, opened, done.loaded)


@captions.command()
def drop(
    ctx: typer.Context, dataset: DatasetName = None, where: Where = "", as_json: Json = False
) -> None:
    """Take captions back that were loaded from a table; clips have another of their captions then,
    or none.

    Example:
      curate captions drop --where "text_len < 3"
    """
    from curate.cli.output import counted, emit_json
    from curate.db.captions import drop as drop_rows
    from curate.tasks.text.captions import HAND

    here = session(ctx)
    opened = here.open_dataset(dataset)
    dropped = drop_rows(opened.engine, _by_hand(opened, where), HAND)
    if as_json:
        emit_json({"dataset": opened.dataset.name, "dropped": dropped})
    else:
        print(f"dataset {opened.dataset.name}: {counted(dropped, 'caption')} dropped")
    _next(here, opened, dropped)


def _next(here: Session, opened: Opened, changed: int) -> None:
    if changed and CLEAN in _names(opened):
        name = opened.dataset.name
        here.talk.next(f"curate reclean {name}", f"curate resume {name} -o clips.csv")


def _rows(table: str) -> Any:
    """Clip, path and text of each row. Raises NoInput, BadTable."""
    from curate.configs.errors import BadTable
    from curate.db.captions import Told
    from curate.tasks.inputs.tables import as_input, read_rows

    for place, row in read_rows(table, ("clip_id", "path")):
        if "text" not in row:
            raise BadTable(source=table, why="it has no column text")
        text = str(row["text"] or "").strip()
        if row.get("clip_id") is None:
            yield Told(None, as_input(table, place, row).path, text)
        else:
            yield Told(_clip_id(table, place, row["clip_id"]), "", text)


def _clip_id(table: str, place: str, value: Any) -> int:
    """A whole number, in whatever form: pandas makes 1.0 of 1 when another row has none."""
    from curate.configs.errors import BadTable

    try:
        number = float(value)
    except (ValueError, TypeError, OverflowError):
        number = float("nan")
    if not number.is_integer() or abs(number) >= 1 << 53:
        raise BadTable(source=table, why=f"{place}: clip_id is {value!r}, not a whole number")
    return int(number)


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    for command in (recaption, reclean):
        app.command(rich_help_panel=options.ROWS)(command)
    app.add_typer(captions, name="captions", rich_help_panel=options.ROWS)
