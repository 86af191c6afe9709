"""The view `clips_view`, for people and dashboards that ask the database themselves."""

from __future__ import annotations

from sqlalchemy import Connection, inspect, text

from curate.db.engine import is_sqlite
from curate.db.expressions import quoted
from curate.db.schema import clips

CLIPS_VIEW = "clips_view"
_ADDED = {"dataset": "d.name", "source": "v.path"}
_LOCK = 0x76696577  # any number: an advisory lock, for hosts that add columns at once


def make_views(connection: Connection) -> None:
    """Make `clips_view`, or give it the columns that were added to clips since: each clip with its
    dataset's name and the path of its video as `dataset` and `source`.
    """
    if is_sqlite(connection):
        connection.execute(text(f"DROP VIEW IF EXISTS {CLIPS_VIEW}"))
    else:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    names = [c["name"] for c in inspect(connection).get_columns(clips.name)]
    columns = [f"{value} AS {name}" for name, value in _ADDED.items()]
    columns += [f"c.{quoted(name)}" for name in names if name not in _ADDED]
    create = "CREATE VIEW" if is_sqlite(connection) else "CREATE OR REPLACE VIEW"
    connection.execute(
        text(
            f"{create} {CLIPS_VIEW} AS SELECT {', '.join(columns)} FROM clips c "  # noqa: S608
            "JOIN videos v ON v.id = c.video_id JOIN datasets d ON d.id = c.dataset_id"
        )
    )
