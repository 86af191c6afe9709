"""Paths below the home are stored relative to it, so that the home can be moved."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote_to_bytes

import sqlalchemy as sa
from alembic import op

from curate.db.home import home_of

revision = "0011"
down_revision = "0010"

PATHS = {"clips": "path", "videos": "path", "datasets": "root"}
CHUNK = 1000  # rows that are read together


def upgrade() -> None:
    connection = op.get_bind()
    home = home_of(connection.dialect)
    if not home:
        return
    for old in dict.fromkeys([home, *_left_behind(connection, home)]):
        for table, column in PATHS.items():
            if old != home and table != "clips":
                _rewrite_moved(connection, table, column, old)
                continue
            connection.execute(
                sa.text(
                    f"UPDATE {table} SET {column} = '.' || substr({column}, :rest) "  # noqa: S608
                    f"WHERE substr({column}, 1, :length) = :prefix"
                ),
                {"rest": len(old) + 1, "length": len(old) + 1, "prefix": f"{old}/"},
            )


def _rewrite_moved(connection: sa.Connection, table: str, column: str, old: str) -> None:
    """Rewrite the paths of sources that moved with the home: those that stayed behind keep theirs,
    and so does a source that was enqueued again in the new home.
    """
    after = 0
    dataset = "dataset_id" if table == "videos" else "id"
    query = sa.text(
        f"SELECT id, {dataset}, {column} FROM {table} WHERE id > :after "  # noqa: S608
        f"AND substr({column}, 1, :length) = :prefix ORDER BY id LIMIT {CHUNK}"
    )
    values = {"length": len(old) + 1, "prefix": f"{old}/"}
    rewrite = sa.text(
        f"UPDATE {table} SET {column} = :path WHERE id = :id AND NOT EXISTS "  # noqa: S608
        f"(SELECT 1 FROM {table} o WHERE o.{dataset} = :dataset AND o.{column} = :path)"
    )
    while rows := connection.execute(query, {**values, "after": after}).all():
        for row, of_dataset, path in rows:
            # as stored, bytes of a name that are not UTF-8 are %XX
            if not any(os.path.lexists(name) for name in (path, unquote_to_bytes(path))):
                new = {"path": f".{path[len(old) :]}", "id": row, "dataset": of_dataset}
                connection.execute(rewrite, new)
        after = rows[-1][0]


def _left_behind(connection: sa.Connection, home: str) -> Iterator[str]:
    """Where the home was before it was moved, as the clips tell: they are not there any more, and
    are in the home that is opened.
    """
    folders = connection.execute(sa.text("SELECT id, folder FROM datasets")).all()
    for dataset_id, folder in folders:
        part = f"/clips/{folder}/"
        query = (
            "SELECT path FROM clips WHERE dataset_id = :dataset AND path LIKE :part "
            "ORDER BY id DESC LIMIT 1"
        )
        values = {"dataset": dataset_id, "part": f"/%{part}%"}
        path = str(connection.execute(sa.text(query), values).scalar() or "")
        at = path.find(part)
        while at > 0:
            if not Path(path).exists() and Path(home + path[at:]).exists():
                yield path[:at]
            at = path.find(part, at + 1)
