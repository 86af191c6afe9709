"""The first schema: datasets, videos, clips, batches, embeddings, option scores."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _position() -> list[sa.Column[Any]]:
    return [
        sa.Column("stage", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("error", sa.Text),
        sa.Column("owner", sa.Text),
        sa.Column("lease_until", sa.Float(53), nullable=False, server_default="0"),
        sa.Column("claim_size", sa.Integer, nullable=False, server_default="0"),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    ]


def _ref(table: str, parent: str, primary_key: bool = False) -> sa.Column[Any]:
    name = parent.rstrip("s") + "_id"
    key = sa.ForeignKey(f"{parent}.id", ondelete="CASCADE", name=f"fk_{table}_{name}")
    return sa.Column(name, Id, key, nullable=False, primary_key=primary_key)


def upgrade() -> None:
    op.create_table(
        "datasets",
        sa.Column("id", Id, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("root", sa.Text, nullable=False),
        sa.Column("pipeline", sa.Text, nullable=False),
        sa.Column("created_at", sa.Float(53), nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("id", name="pk_datasets"),
        sa.UniqueConstraint("name", name="uq_datasets_name"),
    )
    _videos()
    _clips()
    _measurements()


def _videos() -> None:
    op.create_table(
        "videos",
        sa.Column("id", Id, nullable=False),
        _ref("videos", "datasets"),
        *[
            sa.Column(n, sa.Text, nullable=False)
            for n in ("path", "relpath", "clip_stem", "fingerprint")
        ],
        sa.Column("extra", sa.Text),
        sa.Column("media_type", sa.Text),
        sa.Column("duration", sa.Float(53)),
        sa.Column("num_frames", sa.Integer),
        *[sa.Column(n, sa.Float(53)) for n in ("fps", "fps_guessed")],
        *[sa.Column(n, sa.Integer) for n in ("width", "height")],
        sa.Column("aspect_ratio", sa.Float(53)),
        sa.Column("resolution", sa.BigInteger),
        sa.Column("rotation", sa.Integer),
        *[sa.Column(n, sa.Text) for n in ("sample_aspect_ratio", "codec", "pixel_format", "audio")],
        *[sa.Column(n, sa.BigInteger) for n in ("first_pts", "time_base_num", "time_base_den")],
        sa.Column("keyframes", sa.Text),
        sa.Column("size_bytes", sa.BigInteger),
        sa.Column("num_clips", sa.Integer),
        *_position(),
        sa.PrimaryKeyConstraint("id", name="pk_videos"),
        sa.UniqueConstraint("dataset_id", "path", name="uq_videos_dataset_id_path"),
        sa.UniqueConstraint("dataset_id", "clip_stem", name="uq_videos_dataset_id_clip_stem"),
        sqlite_autoincrement=True,
    )
    _claim_index("videos")


def _clips() -> None:
    op.create_table(
        "clips",
        sa.Column("id", Id, nullable=False),
        _ref("clips", "datasets"),
        _ref("clips", "videos"),
        sa.Column("clip_index", sa.Integer, nullable=False),
        *[sa.Column(n, sa.Text) for n in ("path", "text")],
        sa.Column("num_frames", sa.Integer),
        sa.Column("fps", sa.Float(53)),
        *[sa.Column(n, sa.Integer) for n in ("width", "height")],
        sa.Column("aspect_ratio", sa.Float(53)),
        sa.Column("resolution", sa.BigInteger),
        sa.Column("text_len", sa.Integer),
        *[sa.Column(n, sa.BigInteger, nullable=False) for n in ("start_pts", "end_pts")],
        sa.Column("start_frame", sa.Integer),
        *[sa.Column(n, sa.Float(53)) for n in ("start_seconds", "end_seconds", "seconds")],
        *[sa.Column(n, sa.Text) for n in ("hash_first", "hash_middle")],
        sa.Column("duplicate", sa.Integer),
        sa.Column("duplicate_of", Id),
        sa.Column("duplicate_distance", sa.Integer),
        sa.Column("dedup_seq", sa.BigInteger),
        *_position(),
        sa.PrimaryKeyConstraint("id", name="pk_clips"),
        sa.UniqueConstraint("video_id", "clip_index", name="uq_clips_video_id_clip_index"),
        postgresql_with={"fillfactor": 80},
        sqlite_autoincrement=True,
    )
    _claim_index("clips")
    op.create_index("ix_clips_dataset_id_dedup_seq", "clips", ["dataset_id", "dedup_seq"])


def _claim_index(table: str) -> None:
    columns = ["dataset_id", "stage", "status", "lease_until"]
    op.create_index(f"ix_{table}_{'_'.join(columns)}", table, columns)


def _measurements() -> None:
    op.create_table(
        "batches",
        sa.Column("id", Id, nullable=False),
        _ref("batches", "datasets"),
        *[sa.Column(n, sa.Text, nullable=False) for n in ("stage", "worker")],
        *[sa.Column(n, sa.Integer, nullable=False) for n in ("n_ok", "n_failed")],
        *[sa.Column(n, sa.Float(53), nullable=False) for n in ("started_at", "seconds")],
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("error", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_batches"),
    )
    op.create_index(
        "ix_batches_dataset_id_stage_started_at", "batches", ["dataset_id", "stage", "started_at"]
    )
    op.create_table(
        "embeddings",
        _ref("embeddings", "clips"),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("frame", sa.Integer, nullable=False),
        sa.Column("vector", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("clip_id", "model", "frame", name="pk_embeddings"),
    )
    op.create_table(
        "option_scores",
        _ref("option_scores", "clips"),
        sa.Column("option", sa.Text, nullable=False),
        sa.Column("score", sa.Float(53), nullable=False),
        sa.PrimaryKeyConstraint("clip_id", "option", name="pk_option_scores"),
    )
