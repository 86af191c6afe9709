"""Clips picked by hand, to keep or to drop; and which datasets have any."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("clips", sa.Column("picked", sa.Text()))
    op.add_column("datasets", sa.Column("picks", sa.Integer()))
