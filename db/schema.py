"""The tables. The row is the truth: where a video or clip stands is in its own columns.

Position columns, the same in `videos` and `clips`:

stage        the stage the row waits for, or `done`. It moves forward, so nothing is scored twice;
             only a redo moves it back
status       active: waiting, or leased by a batch
             kept: through all stages and filters
             dropped: a filter said no
             failed: a stage could not
reason       the filter's name (dropped) or the error's class (failed)
error        the error's message
owner        the batch that works on the row; NULL when none does
lease_until  unix seconds until which the owner holds the row; 0 when it is free; in the past: the
             owner is dead
claim_size   rows in the owner's batch, so that a batch that crashed can be tried again in halves
attempts     times the row crashed its worker while it was alone in a batch
return_to    where the row goes after its stage when that was asked for again (curate.db.redo): the
             stage before which it stood, or several in order, joined by `>`. NULL: to the stage
             that follows

Paths below the home folder are stored relative to it (curate.db.home).

`clips.picked` is what somebody said of a clip by hand (curate.db.picks): keep, drop, or NULL. It
goes before all filters; the reason of a clip picked to drop is `picked`.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    literal_column,
    text,
)

from curate.configs.schema import RUNNING, Level
from curate.db.home import HomePath

KEEP, DROP = "keep", "drop"  # values of clips.picked
PICKED = "picked"  # the reason of a clip that was picked to drop

FILE_SIZE = "file_size"  # the column of a clip that tells the size of its file

# SQLite only numbers rows by itself when the type is called INTEGER
Id = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _position() -> list[Column[Any]]:
    return [
        Column("stage", Text, nullable=False),
        Column("status", Text, nullable=False),
        Column("reason", Text),
        Column("error", Text),
        Column("owner", Text),
        Column("lease_until", Float(53), nullable=False, server_default="0"),
        Column("claim_size", Integer, nullable=False, server_default="0"),
        Column("attempts", Integer, nullable=False, server_default="0"),
        Column("return_to", Text),
    ]


def _ref(column: str, **extra: Any) -> Column[Any]:
    name = column.split(".")[0].rstrip("s") + "_id"
    return Column(name, Id, ForeignKey(column, ondelete="CASCADE"), nullable=False, **extra)


def _duplicate(prefix: str = "") -> list[Column[Any]]:
    """What each stage that finds duplicates writes: whether the clip is one, and of which clip."""
    return [Column(f"{prefix}duplicate", Integer), Column(f"{prefix}duplicate_of", Id)]


def _partial(name: str, *columns: str, where: str) -> Index:
    """An index of some rows only. Queries name its condition in literals: with bound values no
    engine could tell.

    Migrations make it, on Postgres too: naming Postgres here would load its dialect everywhere.
    """
    return Index(name, *columns, sqlite_where=text(where))


datasets = Table(
    "datasets",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("root", HomePath, nullable=False),
    Column("pipeline", Text, nullable=False),  # JSON, frozen at enqueue
    Column("created_at", Float(53), nullable=False),
    # raised whenever what ordered stages remember is no longer true: clips deleted, picked, redone
    Column("epoch", Integer, nullable=False, server_default="0"),
    Column("state", Text, nullable=False, server_default=RUNNING),
    # while changed filters are applied to the rows, also when that was interrupted: JSON list of
    # the filters that rows may have been dropped by; else NULL
    Column("refiltering", Text),
    # JSON: the form of its measures in which each stage began, by name, where it is not 1
    Column("forms", Text),
    Column("folder", Text),  # of its clips, below the settings' `clips`
    Column("picks", Integer),  # 1 once a clip was picked by hand; spares others the count
    Index(None, "folder", unique=True),
)

videos = Table(
    "videos",
    metadata,
    Column("id", Id, primary_key=True),
    _ref("datasets.id"),
    Column("path", HomePath, nullable=False),
    Column("relpath", Text, nullable=False),
    # what the names of its clips begin with: relpath without its ending
    Column("clip_stem", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("extra", Text),  # JSON: the other columns of the input table
    Column("media_type", Text),
    Column("duration", Float(53)),
    Column("num_frames", Integer),
    Column("fps", Float(53)),
    Column("fps_guessed", Float(53)),
    Column("width", Integer),
    Column("height", Integer),
    Column("aspect_ratio", Float(53)),
    Column("resolution", BigInteger),
    Column("rotation", Integer),
    Column("sample_aspect_ratio", Text),
    Column("codec", Text),
    Column("pixel_format", Text),
    Column("audio", Text),
    Column("first_pts", BigInteger),
    Column("time_base_num", BigInteger),
    Column("time_base_den", BigInteger),
    Column("keyframes", Text),  # JSON list of pts
    Column("size_bytes", BigInteger),
    Column("num_clips", Integer),
    Column("frames_decoded", Integer),  # of which those of no clip are leftover or unplaced
    Column("frames_unplaced", Integer),
    Column("frames_leftover", Integer),
    Column("longest_gap", Float(53)),  # seconds between two frames
    Column("scenes_short", Integer),
    Column("time_jumps", Integer),  # times that the source's clock starts again or jumps
    Column("seekable", Integer),  # 0: clips are found by decoding from the start
    Column("stream_index", Integer),
    Column("mirrored", Integer),
    Column("interlaced_flag", Integer),
    Column("transfer", Text),
    Column("primaries", Text),
    Column("split_form", Integer),  # NULL: the first
    Column("frames_in_transitions", Integer),  # trimmed; of frames_leftover
    Column("times_replaced", Integer),  # since the last enqueue, while it was worked on
    *_position(),
    UniqueConstraint("dataset_id", "path"),
    UniqueConstraint("dataset_id", "clip_stem"),
    Index(None, "dataset_id", "stage", "status", "lease_until"),
    _partial("ix_videos_active", "dataset_id", "id", where="status = 'active'"),
    sqlite_autoincrement=True,  # an id is never used again
)

clips = Table(
    "clips",
    metadata,
    Column("id", Id, primary_key=True),
    _ref("datasets.id"),
    _ref("videos.id"),
    Column("clip_index", Integer, nullable=False),
    Column("path", HomePath),
    Column("text", Text),
    Column("num_frames", Integer),
    Column("fps", Float(53)),
    Column("width", Integer),
    Column("height", Integer),
    Column("aspect_ratio", Float(53)),
    Column("resolution", BigInteger),
    Column("text_len", Integer),
    Column("start_pts", BigInteger, nullable=False),
    Column("end_pts", BigInteger, nullable=False),
    Column("start_frame", Integer),
    Column("start_seconds", Float(53)),
    Column("end_seconds", Float(53)),
    Column("seconds", Float(53)),
    Column("hash_first", Text),
    Column("hash_middle", Text),
    Column("hash_first_mirrored", Text),
    Column("hash_middle_mirrored", Text),
    Column("hash_views", Text),
    Column("transition_before", Integer),
    Column("transition_after", Integer),
    *_duplicate(),
    Column("duplicate_distance", Integer),
    Column("dedup_seq", BigInteger),  # the order in which dedup took the clips of a dataset
    *_duplicate("text_"),
    Column("text_seq", BigInteger),  # the order in which text_duplicate took them
    *_duplicate("semantic_"),
    Column("semantic_distance", Float(53)),
    Column("semantic_seq", BigInteger),  # the order in which semantic_dedup took them
    Column("picked", Text),  # by hand: keep or drop, whatever filters say
    Column("side", Text),  # of the split, since the first export by one; NULL: not yet
    *_position(),
    UniqueConstraint("video_id", "clip_index"),
    Index(
        "ix_clips_claim", "dataset_id", "stage", "status", "lease_until", "video_id", "clip_index"
    ),
    _partial(
        "ix_clips_dataset_id_dedup_seq", "dataset_id", "dedup_seq", where="dedup_seq IS NOT NULL"
    ),
    _partial("ix_clips_duplicate_of", "duplicate_of", where="duplicate_of IS NOT NULL"),
    _partial(
        "ix_clips_dataset_id_text_seq", "dataset_id", "text_seq", where="text_seq IS NOT NULL"
    ),
    _partial(
        "ix_clips_text_duplicate_of", "text_duplicate_of", where="text_duplicate_of IS NOT NULL"
    ),
    _partial(
        "ix_clips_dataset_id_semantic_seq",
        "dataset_id",
        "semantic_seq",
        where="semantic_seq IS NOT NULL",
    ),
    _partial(
        "ix_clips_semantic_duplicate_of",
        "semantic_duplicate_of",
        where="semantic_duplicate_of IS NOT NULL",
    ),
    _partial(
        "ix_clips_ended",
        "dataset_id",
        "stage",
        "status",
        "reason",
        where="status IN ('dropped', 'failed')",
    ),
    sqlite_autoincrement=True,
)

batches = Table(
    "batches",
    metadata,
    Column("id", Id, primary_key=True),
    _ref("datasets.id"),
    Column("stage", Text, nullable=False),
    Column("worker", Text, nullable=False),
    Column("n_ok", Integer, nullable=False),
    Column("n_failed", Integer, nullable=False),
    Column("started_at", Float(53), nullable=False),
    Column("seconds", Float(53), nullable=False),
    Column("version", Text, nullable=False),
    Column("error", Text),  # why the whole batch was released; then n_ok = n_failed = 0
    Column("reason", Text),  # the class of that error
    Column("claim_seconds", Float(53)),  # that taking its rows took
    Column("cpu_seconds", Float(53)),  # of the stage at work on the rows, all cores together
    # JSON: how many rows of each video, and what they took (curate.db.save.log)
    Column("by_video", Text),
    Index(None, "dataset_id", "stage", "started_at"),
)

# what `curate plan` predicts of datasets that are made or still to be made (curate.db.plans)
plans = Table(
    "plans",
    metadata,
    Column("id", Id, primary_key=True),
    Column("root", HomePath, nullable=False),  # of the dataset
    Column("pipeline", Text, nullable=False),  # JSON, as it is frozen in the dataset
    Column("prediction", Text, nullable=False),  # JSON
    Column("created_at", Float(53), nullable=False),  # unix seconds
    sqlite_autoincrement=True,
)

# the Celery workers that run, as their supervisors report them (curate.db.worker_rows)
workers = Table(
    "workers",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False),  # cpu0; Celery's node is name@host
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("queue", Text, nullable=False),
    Column("processes", Integer, nullable=False),
    Column("npu", Integer),
    Column("version", Text, nullable=False),  # of curate
    Column("started_at", Float(53), nullable=False),  # both by the database's clock
    Column("seen_at", Float(53), nullable=False),
    sqlite_autoincrement=True,
)

embeddings = Table(
    "embeddings",
    metadata,
    _ref("clips.id", primary_key=True),
    Column("model", Text, primary_key=True),
    Column("frame", Integer, primary_key=True),  # 0-based, among the sampled frames
    Column("revision", Text, nullable=False),  # of the model
    Column("position", Float(53), nullable=False),  # of the frame, as a fraction of the clip
    Column("vector", LargeBinary, nullable=False),  # float16, little endian
)

option_scores = Table(
    "option_scores",
    metadata,
    _ref("clips.id", primary_key=True),
    Column("option", Text, primary_key=True),
    Column("score", Float(53), nullable=False),
    Column("model", Text, nullable=False),
    Column("revision", Text, nullable=False),  # of the model
    Column("prompt", Text, nullable=False),  # the template that the option was put into
)

captions = Table(
    "captions",
    metadata,
    Column("id", Id, primary_key=True),
    _ref("clips.id", index=True),
    Column("model", Text, nullable=False),  # who wrote it: a model; or `file`, `input`, `table`
    Column("revision", Text, nullable=False),  # of the model; empty where there is none
    Column("prompt", Text, nullable=False),
    Column("text_raw", Text, nullable=False),  # as it was written
    Column("text", Text),  # as clean_text made it; NULL: not yet
    Column("tokens", Integer),  # of the answer
    Column("seconds", Float(53)),  # wall time it took to write
    # how well it matches the clip, by the stage match; NULL: not scored
    Column("match", Float(53)),
    Column("created_at", Float(53), nullable=False),  # unix seconds
    # of a window: its frames have start <= pts < end, time stamps of the source; NULL: of the clip
    Column("window_start_pts", BigInteger),
    Column("window_end_pts", BigInteger),
    # how the clip's caption is made of those of its windows: joined or best; NULL: it is not
    Column("summary", Text),
    sqlite_autoincrement=True,
)

# captions that were asked for in fields, each with all of its own (curate.db.side_tables)
caption_fields = Table(
    "caption_fields",
    metadata,
    _ref("captions.id", primary_key=True),
    Column("field", Text, primary_key=True),
    Column("text", Text, nullable=False),
)
FIELDS = "fields"  # what stages call them in a row of captions: texts by field

# texts that a language model wrote of what is known about a clip, captions above all: no captions
# themselves, because their writer has seen no frame
rewrites = Table(
    "rewrites",
    metadata,
    Column("id", Id, primary_key=True),
    _ref("clips.id", index=True),
    Column("variant", Text, nullable=False),  # which of the texts that were asked for
    Column("model", Text, nullable=False),
    Column("revision", Text, nullable=False),  # of the model; empty where there is none
    Column("prompt", Text, nullable=False),  # without what was known about the clip
    Column("text", Text, nullable=False),
    Column("drift", Float(53), nullable=False),  # 0 to 1: what no note holds
    Column("added", Text, nullable=False),  # JSON list: its words and numbers that no note holds
    Column("seconds", Float(53)),  # wall time it took to write
    Column("created_at", Float(53), nullable=False),  # unix seconds
    sqlite_autoincrement=True,
)

# what was learned of all clips of a dataset, for stages that work by it (curate.db.fits)
fits = Table(
    "fits",
    metadata,
    Column("id", Id, primary_key=True),
    _ref("datasets.id", index=True),
    Column("stage", Text, nullable=False),
    Column("model", Text, nullable=False),  # whose embeddings it was learned from
    Column("revision", Text, nullable=False),  # of the model
    Column("options", Text, nullable=False),  # JSON
    Column("arrays", LargeBinary, nullable=False),  # a file of NumPy, npy
    Column("created_at", Float(53), nullable=False),  # unix seconds
    sqlite_autoincrement=True,  # rows tell by which fit they were made
)

# which of two captions people preferred, without knowing who wrote them (curate.db.votes)
caption_votes = Table(
    "caption_votes",
    metadata,
    Column("id", Id, primary_key=True),
    _ref("clips.id", index=True),
    Column("voter", Text, nullable=False),  # as they call themselves
    Column("model_a", Text, nullable=False),  # the captioners, in the order of the alphabet
    Column("model_b", Text, nullable=False),
    Column("caption_a", Id, nullable=False),  # ids of captions, which may be gone
    Column("caption_b", Id, nullable=False),
    Column("choice", Text, nullable=False),  # a, b, equal or neither
    Column("created_at", Float(53), nullable=False),  # unix seconds
    sqlite_autoincrement=True,
)

# what several processes share of a server that stages ask (curate.db.permits)
servers = Table(
    "servers",
    metadata,
    Column("name", Text, primary_key=True),  # its address
    # unix seconds, when the last request to a server with a pace was let through; 0: none yet
    Column("asked_at", Float(53), nullable=False, server_default="0"),
)

# requests that are under way or in line, in the order of their ids (curate.db.permits)
permits = Table(
    "permits",
    metadata,
    Column("id", Id, primary_key=True),
    Column("server", Text, nullable=False, index=True),
    Column("owner", Text, nullable=False),  # the process that asks
    Column("until", Float(53), nullable=False),  # unix seconds; in the past: the owner is dead
    sqlite_autoincrement=True,  # no id comes twice, or a late one would be first in line
)

# what the requests of a stage have cost (curate.db.spending)
spending = Table(
    "spending",
    metadata,
    _ref("datasets.id", primary_key=True),
    Column("stage", Text, primary_key=True),
    Column("requests", BigInteger, nullable=False),  # that were answered
    Column("tokens_in", BigInteger, nullable=False),
    Column("tokens_out", BigInteger, nullable=False),
    Column("cost", Float(53), nullable=False),  # in the currency of the stage's prices
)

# answers of servers that are paid for, until the batch that asked is saved (curate.db.spending)
answers = Table(
    "answers",
    metadata,
    _ref("clips.id", primary_key=True),
    Column("stage", Text, primary_key=True),
    # a digest of what was asked and, behind it, about which window
    Column("request", Text, primary_key=True),
    Column("content", Text, nullable=False),  # as the server sent it
    Column("created_at", Float(53), nullable=False),  # unix seconds
)

# the tables that stages read and write besides the columns of a clip, by name
SIDE_TABLES = {table.name: table for table in (embeddings, option_scores, captions, rewrites)}
OWN_ID = "id"  # a table whose key is this numbers its rows by itself


def rows_of(level: Level) -> Table:
    """The table that holds the rows of a level."""
    return videos if level == "video" else clips


def stands(table: Table, *statuses: str) -> ColumnElement[bool]:
    """Whether a row has one of these statuses, in literals: the condition of the indexes of active
    and ended rows.
    """
    names: list[ColumnElement[str]] = [literal_column(f"'{s}'") for s in statuses]
    return table.c.status == names[0] if len(names) == 1 else table.c.status.in_(names)


def column_of(table: Table, name: str) -> ColumnElement[Any]:
    """The column of a name, also one that a stage added."""
    return table.c[name] if name in table.c else literal_column(f'"{name}"')
