"""Ten million clips: indexes of the rows that are still active and of those that ended, and a mark
of a refilter.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("datasets", sa.Column("refiltering", sa.Text))
    op.drop_index("ix_clips_dataset_id_dedup_seq", "clips")
    _partial("videos", "ix_videos_active", ["dataset_id", "id"], "status = 'active'")
    _partial(
        "clips",
        "ix_clips_dataset_id_dedup_seq",
        ["dataset_id", "dedup_seq"],
        "dedup_seq IS NOT NULL",
    )
    _partial("clips", "ix_clips_duplicate_of", ["duplicate_of"], "duplicate_of IS NOT NULL")
    _partial(
        "clips",
        "ix_clips_active",
        ["dataset_id", "stage", "video_id", "clip_index"],
        "status = 'active'",
    )
    _partial(
        "clips",
        "ix_clips_ended",
        ["dataset_id", "stage", "status", "reason"],
        "status IN ('dropped', 'failed')",
    )


def _partial(table: str, name: str, columns: list[str], where: str) -> None:
    op.create_index(
        name, table, columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where)
    )
