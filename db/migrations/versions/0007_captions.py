"""Captions: what was written about a clip, by whom, on which prompt; and clips with the text of an
earlier one.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    key = sa.ForeignKey("clips.id", ondelete="CASCADE", name="fk_captions_clip_id")
    op.create_table(
        "captions",
        sa.Column("id", Id, nullable=False),
        sa.Column("clip_id", Id, key, nullable=False),
        *[
            sa.Column(name, sa.Text, nullable=False)
            for name in ("model", "revision", "prompt", "text_raw")
        ],
        sa.Column("text", sa.Text),
        sa.Column("tokens", sa.Integer),
        sa.Column("seconds", sa.Float(53)),
        sa.Column("match", sa.Float(53)),
        sa.Column("created_at", sa.Float(53), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_captions"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_captions_clip_id", "captions", ["clip_id"])
    op.add_column("clips", sa.Column("text_duplicate", sa.Integer))
    op.add_column("clips", sa.Column("text_duplicate_of", Id))
    op.add_column("clips", sa.Column("text_seq", sa.BigInteger))
    _partial("ix_clips_dataset_id_text_seq", ["dataset_id", "text_seq"], "text_seq IS NOT NULL")
    _partial("ix_clips_text_duplicate_of", ["text_duplicate_of"], "text_duplicate_of IS NOT NULL")


def _partial(name: str, columns: list[str], where: str) -> None:
    op.create_index(
        name, "clips", columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where)
    )
