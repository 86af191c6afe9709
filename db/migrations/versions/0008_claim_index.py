"""One index of clips for all claims, in order or not: of each index less, a clip-stage costs
Postgres a tenth less.
"""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    columns = ["dataset_id", "stage", "status", "lease_until", "video_id", "clip_index"]
    op.create_index("ix_clips_claim", "clips", columns)
    op.drop_index("ix_clips_dataset_id_stage_status_lease_until", "clips")
    op.drop_index("ix_clips_active", "clips")
