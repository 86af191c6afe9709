"""What was learned of a dataset (fits), and clips that look like an earlier one."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "fits",
        sa.Column("id", ID, primary_key=True),
        sa.Column(
            "dataset_id",
            ID,
            sa.ForeignKey("datasets.id", ondelete="CASCADE", name="fk_fits_dataset_id"),
            nullable=False,
        ),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("revision", sa.Text(), nullable=False),
        sa.Column("options", sa.Text(), nullable=False),
        sa.Column("arrays", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.Float(53), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_fits"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_fits_dataset_id", "fits", ["dataset_id"])
    columns: dict[str, Any] = {
        "semantic_duplicate": sa.Integer(),
        "semantic_duplicate_of": ID,
        "semantic_distance": sa.Float(53),
        "semantic_seq": sa.BigInteger(),
    }
    for name, kind in columns.items():
        op.add_column("clips", sa.Column(name, kind))
    indexes = {
        "ix_clips_dataset_id_semantic_seq": ["dataset_id", "semantic_seq"],
        "ix_clips_semantic_duplicate_of": ["semantic_duplicate_of"],
    }
    for name, names in indexes.items():
        some = sa.text(f"{names[-1]} IS NOT NULL")
        op.create_index(name, "clips", names, sqlite_where=some, postgresql_where=some)
