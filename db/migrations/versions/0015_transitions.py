"""How many frames of a video are in dissolves and fades that were trimmed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.add_column("videos", sa.Column("frames_in_transitions", sa.Integer()))
