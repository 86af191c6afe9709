"""Texts that a language model wrote of what is known about a clip."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    ids = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    clip = sa.ForeignKey("clips.id", ondelete="CASCADE", name="fk_rewrites_clip_id")
    texts = ("variant", "model", "revision", "prompt", "text")
    op.create_table(
        "rewrites",
        sa.Column("id", ids, primary_key=True),
        sa.Column("clip_id", ids, clip, nullable=False),
        *[sa.Column(name, sa.Text(), nullable=False) for name in texts],
        sa.Column("drift", sa.Float(53), nullable=False),
        sa.Column("added", sa.Text(), nullable=False),
        sa.Column("seconds", sa.Float(53)),
        sa.Column("created_at", sa.Float(53), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_rewrites"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_rewrites_clip_id", "rewrites", ["clip_id"])
