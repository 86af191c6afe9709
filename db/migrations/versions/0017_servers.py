"""Requests to servers that are under way in all processes, what they have cost, and answers.

The prices of tokens become one option; what is sent stays in the order that datasets began with.
"""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "servers",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.Float(53), nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("name", name="pk_servers"),
    )
    op.create_table(
        "permits",
        sa.Column("id", ID, primary_key=True),
        sa.Column("server", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("until", sa.Float(53), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_permits"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_permits_server", "permits", ["server"])
    counts = ("requests", "tokens_in", "tokens_out")
    op.create_table(
        "spending",
        _key("spending", "datasets.id", "dataset_id"),
        sa.Column("stage", sa.Text(), nullable=False),
        *[sa.Column(name, sa.BigInteger(), nullable=False) for name in counts],
        sa.Column("cost", sa.Float(53), nullable=False),
        sa.PrimaryKeyConstraint("dataset_id", "stage", name="pk_spending"),
    )
    op.create_table(
        "answers",
        _key("answers", "clips.id", "clip_id"),
        *[sa.Column(name, sa.Text(), nullable=False) for name in ("stage", "request", "content")],
        sa.Column("created_at", sa.Float(53), nullable=False),
        sa.PrimaryKeyConstraint("clip_id", "stage", name="pk_answers"),
    )
    connection = op.get_bind()
    frozen = connection.execute(sa.text("SELECT id, pipeline FROM datasets")).all()
    for dataset, text in frozen:
        if '"price_in"' in text:
            steps = json.dumps([_with_price(step) for step in json.loads(text)])
            change = sa.text("UPDATE datasets SET pipeline = :steps WHERE id = :id")
            connection.execute(change, {"steps": steps, "id": dataset})


def _with_price(step: dict[str, object]) -> dict[str, object]:
    if "price_in" not in step:
        return step
    prices = {"input": step["price_in"], "output": step.get("price_out", 0)}
    kept = {k: v for k, v in step.items() if k not in ("price_in", "price_out")}
    return {**kept, "price": prices if any(prices.values()) else {}, "prompt_first": False}


def _key(table: str, of: str, name: str) -> sa.Column[int]:
    key = sa.ForeignKey(of, ondelete="CASCADE", name=f"fk_{table}_{name}")
    return sa.Column(name, ID, key, nullable=False)
