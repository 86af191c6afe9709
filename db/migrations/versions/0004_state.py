"""A dataset can be paused and cancelled."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("datasets", sa.Column("state", sa.Text, nullable=False, server_default="running"))
