"""The side of the split that a clip is on, such as train or val, since it was first exported so."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("clips", sa.Column("side", sa.Text()))
