"""Captions of windows: parts of a clip; and an answer for each of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    for name in ("window_start_pts", "window_end_pts"):
        op.add_column("captions", sa.Column(name, sa.BigInteger()))
    op.add_column("captions", sa.Column("summary", sa.Text()))
    with op.batch_alter_table("answers") as answers:
        answers.drop_constraint("pk_answers", type_="primary")
        answers.create_primary_key("pk_answers", ["clip_id", "stage", "request"])
