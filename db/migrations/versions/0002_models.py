"""What models need: embeddings and option scores tell model and revision; a row can go back to a
stage and return.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    for table in ("videos", "clips"):
        op.add_column(table, sa.Column("return_to", sa.Text))
    # no released version wrote a row of these two, so they are made anew
    op.drop_table("embeddings")
    op.drop_table("option_scores")
    op.create_table(
        "embeddings",
        _clip("embeddings"),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("frame", sa.Integer, nullable=False),
        sa.Column("revision", sa.Text, nullable=False),
        sa.Column("position", sa.Float(53), nullable=False),
        sa.Column("vector", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("clip_id", "model", "frame", name="pk_embeddings"),
    )
    op.create_table(
        "option_scores",
        _clip("option_scores"),
        sa.Column("option", sa.Text, nullable=False),
        sa.Column("score", sa.Float(53), nullable=False),
        *[sa.Column(name, sa.Text, nullable=False) for name in ("model", "revision", "prompt")],
        sa.PrimaryKeyConstraint("clip_id", "option", name="pk_option_scores"),
    )


def _clip(table: str) -> sa.Column[int]:
    key = sa.ForeignKey("clips.id", ondelete="CASCADE", name=f"fk_{table}_clip_id")
    return sa.Column("clip_id", Id, key, nullable=False)
