"""`curate show`: one clip, and why it is where it is."""

from __future__ import annotations

from typing import Annotated

import typer

from curate.cli.shared.one_row import print_row
from curate.cli.shared.options import Json, RowLevel, level_of, row_id
from curate.cli.shared.session import Session
from curate.configs.errors import UsageError
from curate.db.reports.one_row import dataset_of
from curate.worker.session.database import open_database, open_dataset


def show(
    ctx: typer.Context,
    clip: Annotated[
        int, typer.Argument(metavar="CLIP", parser=row_id, help="Id of the clip, in any dataset.")
    ],
    level: RowLevel = "clip",
    as_json: Json = False,
) -> None:
    """Show one clip: its values, scores, captions and duplicates, and why it is where it is.

    The last table is the ledger of the clip: each filter in order, the clip's values of the columns
    in it, and its verdict. not measured: a column is NULL, which does not pass. not reached: the
    clip has stages to go through first. Below it stands the command that brings a dropped clip
    back, where changed filters can; other clips that then pass come back too.

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
        raise UsageError(what=f"there is no {of} {clip}. See the ids with: `curate {listing}`")
    print_row(session, open_dataset(session, name), of, clip, as_json)
