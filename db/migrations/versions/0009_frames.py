"""What became of a video's frames, what its pictures claim to be, and where its clips lie."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

VIDEOS: dict[str, Any] = {
    "frames_decoded": sa.Integer(),
    "frames_unplaced": sa.Integer(),
    "frames_leftover": sa.Integer(),
    "longest_gap": sa.Float(53),
    "scenes_short": sa.Integer(),
    "time_jumps": sa.Integer(),
    "seekable": sa.Integer(),
    "stream_index": sa.Integer(),
    "mirrored": sa.Integer(),
    "interlaced_flag": sa.Integer(),
    "transfer": sa.Text(),
    "primaries": sa.Text(),
    "split_form": sa.Integer(),
    "times_replaced": sa.Integer(),
}

# columns of stages whose measures have a new form, and the column that tells it
FORMS = {"static": "motion_form"}


def upgrade() -> None:
    for name, kind in VIDEOS.items():
        op.add_column("videos", sa.Column(name, kind))
    op.add_column("datasets", sa.Column("forms", sa.Text()))
    clips = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("clips")}
    for name, form in FORMS.items():
        if name in clips:
            op.add_column("clips", sa.Column(form, sa.BigInteger()))
    op.add_column("datasets", sa.Column("folder", sa.Text()))
    op.execute("UPDATE datasets SET folder = CAST(id AS TEXT)")  # where their clips lie
    op.create_index("ix_datasets_folder", "datasets", ["folder"], unique=True)
    for name in ("hash_first_mirrored", "hash_middle_mirrored", "hash_views"):
        op.add_column("clips", sa.Column(name, sa.Text()))
