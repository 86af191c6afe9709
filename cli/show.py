"""`curate show`: one clip, and why it is where it is."""

from __future__ import annotations

from typing import Annotated

import typer

from curate.cli.shared.database import open_database, open_dataset
from curate.cli.shared.one_row import print_row
from curate.cli.shared.options import Json, RowLevel, level_of
from curate.cli.shared.session import Session
from curate.configs.errors import UsageError
from curate.db.reports.one_row import dataset_of


def show(
    ctx: typer.Context,
    clip: Annotated[int, typer.Argument(metavar="CLIP", help="Id of the clip, in any dataset.")],
    level: RowLevel = "clip",
    as_json: Json = False,
) -> None:
    """Show one clip: its values, scores, captions and duplicates, and why it is where it is.

    The last table is its ledger: each filter in order, what the clip has in the columns that it
    looks at, and whether it passes. not measured: a column is NULL, which does not pass. not
    reached: stages come first. Below stands the command that brings back a clip that was dropped,
    if changed filters can; others that pass then come back too.

    Example:
      curate show 812
      curate show 3 --level video --json
    """
    session = Session.of(ctx)
    of = level_of(level)
    name = dataset_of(open_database(session), of, clip)
    if name is None:
        listing = (
            "export --columns clip_id,path" if of == "clip" else "sql 'SELECT id, path FROM videos'"
        )
        raise UsageError(what=f"there is no {of} {clip}; ids are told by: `curate {listing}`")
    print_row(session, open_dataset(session, name), of, clip, as_json)
