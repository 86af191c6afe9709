"""`curate captions`: captions by hand, loaded from a table and dropped again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated

import typer

from curate.cli.shared.by_hand import CLEAN, clips_by_hand
from curate.cli.shared.options import DatasetName, Json, Where
from curate.cli.shared.output import emit_json
from curate.cli.shared.session import Session
from curate.configs.errors import BadTable, UsageError
from curate.configs.shown import counted
from curate.db.captions import TableCaption
from curate.db.captions import drop as drop_captions
from curate.db.captions import load as load_captions
from curate.tasks.inputs.extensions import TABLE_EXTENSIONS, extension
from curate.tasks.inputs.tables import as_input, read_rows
from curate.tasks.text.captions import HAND
from curate.worker.session.database import OpenDataset, open_dataset

captions = typer.Typer(no_args_is_help=True, help="Captions from outside.")


@captions.command()
def load(
    ctx: typer.Context,
    table: Annotated[
        str, typer.Argument(metavar="TABLE", help="CSV or Parquet with text, and path or clip_id.")
    ],
    dataset: DatasetName = None,
    as_json: Json = False,
) -> None:
    """Take captions from a table, such as an exported one with mended texts; they go before all \
others.

    A row is about the clip of its column clip_id or, without one, about that whose file or video
    has its path. One that holds what is the clip's text already is passed over. What models have
    written stays in the table captions.

    Example:
      curate captions load mended.csv
    """
    session = Session.of(ctx)
    if extension(dataset or "") in TABLE_EXTENSIONS and extension(table) not in TABLE_EXTENSIONS:
        right = f"curate captions load {shlex.join([str(dataset), table])}"
        raise UsageError(what=f"the table comes before the dataset: `{right}`")
    opened = open_dataset(session, dataset)
    done = load_captions(opened.engine, opened.dataset.id, _read_captions(table), HAND)
    if as_json:
        emit_json({"dataset": opened.name, **asdict(done)})
    else:
        loaded = f"{counted(done.loaded, 'caption')} loaded, {done.unchanged} unchanged"
        print(f"dataset {opened.name}: {loaded}")
    if done.empty:
        session.console.warn(f"{counted(done.empty, 'row')} without a text passed over")
    if done.unknown:
        session.console.warn(
            f"{counted(done.unknown, 'row')} about no clip of {opened.name}, or about a video of"
            " several clips"
        )
    _suggest_reclean(session, opened, done.loaded)


@captions.command()
def drop(
    ctx: typer.Context, dataset: DatasetName = None, where: Where = "", as_json: Json = False
) -> None:
    """Take captions back that were loaded from a table; clips have another of their captions \
then, or none.

    Example:
      curate captions drop --where "text_len < 3"
    """
    session = Session.of(ctx)
    opened = open_dataset(session, dataset)
    dropped = drop_captions(opened.engine, clips_by_hand(opened, where), HAND)
    if as_json:
        emit_json({"dataset": opened.name, "dropped": dropped})
    else:
        print(f"dataset {opened.name}: {counted(dropped, 'caption')} dropped")
    _suggest_reclean(session, opened, dropped)


def _suggest_reclean(session: Session, opened: OpenDataset, changed: int) -> None:
    if changed and opened.pipeline.has(CLEAN):
        resume = ("resume", opened.name, "-o", "clips.csv")
        session.next(("reclean", opened.name), resume)


def _read_captions(table: str) -> Iterator[TableCaption]:
    """Clip or path, and text, of each row of a table. Raises NoInput, BadTable."""
    for position, row in read_rows(table, ("clip_id", "path")):
        if "text" not in row:
            raise BadTable(source=table, why="it has no column text")
        text = str(row["text"] or "").strip()
        if row.get("clip_id") is None:
            yield TableCaption(None, as_input(table, position, row).path, text)
        else:
            value = row["clip_id"]  # pandas makes 1.0 of 1 when another row has none
            try:
                number = float(value)
            except (ValueError, TypeError, OverflowError):
                number = float("nan")
            if not number.is_integer() or abs(number) >= 1 << 53:
                raise BadTable(
                    source=table, why=f"{position}: clip_id is {value!r}, not a whole number"
                )
            yield TableCaption(int(number), "", text)
