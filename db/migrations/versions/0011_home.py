"""Paths below the home are stored relative to it, so that the home can be moved."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa
from alembic import op

from curate.db.home import home_of

revision = "0011"
down_revision = "0010"

PATHS = {"clips": "path", "videos": "path", "datasets": "root"}


def upgrade() -> None:
    connection = op.get_bind()
    home = home_of(connection.dialect)
    if not home:
        return
    for old in dict.fromkeys([home, *_left_behind(connection, home)]):
        for table, column in PATHS.items():
            connection.execute(
                sa.text(
                    f"UPDATE {table} SET {column} = '.' || substr({column}, :rest) "  # noqa: S608
                    f"WHERE substr({column}, 1, :length) = :prefix"
                ),
                {"rest": len(old) + 1, "length": len(old) + 1, "prefix": f"{old}/"},
            )


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
