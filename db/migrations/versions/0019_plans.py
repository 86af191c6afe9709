"""What batches cost, by the video of their rows; and predictions of what datasets will cost."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    op.add_column("batches", sa.Column("cpu_seconds", sa.Float(53)))
    op.add_column("batches", sa.Column("by_video", sa.Text))
    op.create_table(
        "plans",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        *[sa.Column(name, sa.Text(), nullable=False) for name in ("root", "pipeline")],
        sa.Column("prediction", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(53), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_plans"),
        sqlite_autoincrement=True,
    )
