"""Which of two captions of a clip people preferred."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    texts = ("voter", "model_a", "model_b")
    op.create_table(
        "caption_votes",
        sa.Column("id", ID, primary_key=True),
        sa.Column(
            "clip_id",
            ID,
            sa.ForeignKey("clips.id", ondelete="CASCADE", name="fk_caption_votes_clip_id"),
            nullable=False,
        ),
        *[sa.Column(name, sa.Text(), nullable=False) for name in texts],
        sa.Column("caption_a", ID, nullable=False),
        sa.Column("caption_b", ID, nullable=False),
        sa.Column("choice", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(53), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_caption_votes"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_caption_votes_clip_id", "caption_votes", ["clip_id"])
