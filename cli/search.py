"""`curate search`: the clips that look like a text."""

from __future__ import annotations

from typing import Annotated

import typer

from curate.cli.shared.options import DatasetName, Json, Where
from curate.cli.shared.output import emit
from curate.cli.shared.session import Session
from curate.worker.session.database import open_dataset
from curate.worker.session.search import COLUMNS, look_alikes


def search(
    ctx: typer.Context,
    words: Annotated[str, typer.Argument(metavar="TEXT", help="What the clips should show.")],
    name: DatasetName = None,
    count: Annotated[
        int, typer.Option("--count", "-n", min=1, max=100_000, help="Clips to show, the best ones.")
    ] = 20,
    where: Where = "",
    as_json: Json = False,
) -> None:
    """The clips that look most like a text, by the CLIP embeddings that the stage clip_embed
    stored.

    The score is 100 times the cosine of text and best frame, usually 10 to 35. Reads every
    embedding of the dataset.

    Example:
      curate search "a dog on a beach" -n 20
    """
    session = Session.of(ctx)
    rows = look_alikes(session, open_dataset(session, name), words, count, where)
    emit(rows, as_json, None if as_json else COLUMNS)
    if rows and not as_json:
        first = rows[0]["id"]
        session.next(("sql", f"SELECT * FROM clips WHERE id = {first}"))  # noqa: S608  a number
