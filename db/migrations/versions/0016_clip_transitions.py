"""How many frames of a transition that was trimmed lie right before and after a clip.

ocr goes on as datasets began with it: it looks at the middle frame alone, without the quick test.
"""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    # versions in between added them as they add the columns of scorers
    connection = op.get_bind()
    present = {column["name"] for column in sa.inspect(connection).get_columns("clips")}
    for name in ("transition_before", "transition_after"):
        if name not in present:
            op.add_column("clips", sa.Column(name, sa.Integer()))
    for dataset, text in connection.execute(sa.text("SELECT id, pipeline FROM datasets")).all():
        steps = json.loads(text)
        before = [step for step in steps if step.get("stage") == "ocr" and "frames" not in step]
        for step in before:
            step |= {"frames": 1, "quick_test": False}
        if before:
            change = sa.text("UPDATE datasets SET pipeline = :steps WHERE id = :id")
            connection.execute(change, {"steps": json.dumps(steps), "id": dataset})
