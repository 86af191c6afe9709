"""Captions in fields."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    of_caption = sa.ForeignKey(
        "captions.id", ondelete="CASCADE", name="fk_caption_fields_caption_id"
    )
    op.create_table(
        "caption_fields",
        sa.Column("caption_id", ID, of_caption, nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("caption_id", "field", name="pk_caption_fields"),
    )
