"""How many frames of a transition that was trimmed lie right before and after a clip."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    # versions in between added them as they add the columns of scorers
    present = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("clips")}
    for name in ("transition_before", "transition_after"):
        if name not in present:
            op.add_column("clips", sa.Column(name, sa.Integer()))
