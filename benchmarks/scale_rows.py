"""Fills a database with the rows of a line of many clips in mid-run, by SQL alone: the engine makes
them.

One dataset with the packaged pipeline and OCR. Of 1000 clips, 30 wait for dedup, 100 for motion, 50
for ocr, 25 for cut; 250, 120 and 200 were dropped by unique, not_black and little_text, 15 failed,
210 are kept.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Engine, text

from curate.configs.pipeline import Pipeline
from curate.db import datasets, migrate
from curate.db.engine import is_sqlite, reading, writing
from curate.worker.session.database import make_reader
from curate.worker.session.pipelines import resolve

CLIPS = 100  # of a video
CHUNK = 500_000  # rows in a transaction
KEPT_SHARE = 0.21


def pipeline() -> Pipeline:
    """The packaged pipeline with OCR."""
    return resolve(None, ["ocr.enabled=true"], ready=False).pipeline


def fill(engine: Engine, rows: int) -> int:
    """Make the schema, a dataset, its videos, `rows` clips and a history of batches; returns the
    dataset's id.
    """
    migrate.upgrade(engine)
    make_reader(engine)  # for curate sql
    dataset = datasets.create(engine, "scale", "/videos", pipeline())
    videos = max(1, rows // CLIPS)
    for first, last in _chunks(videos):
        _run(engine, _VIDEOS, first, last, dataset=dataset.id, clips=CLIPS, videos=videos)
    for first, last in _chunks(rows):
        _run(engine, _CLIPS, first, last, dataset=dataset.id, clips=CLIPS)
    for first, last in _chunks(max(1, rows // 20)):
        _run(engine, _BATCHES, first, last, dataset=dataset.id, batches=rows // 20)
    return dataset.id


def _chunks(rows: int) -> Iterator[tuple[int, int]]:
    return ((first, min(first + CHUNK - 1, rows)) for first in range(1, rows + 1, CHUNK))


def _run(engine: Engine, statement: str, first: int, last: int, **values: int) -> None:
    if is_sqlite(engine):
        source = (
            "(WITH RECURSIVE n(i) AS "
            "(SELECT :first UNION ALL SELECT i + 1 FROM n WHERE i < :last) SELECT i FROM n)"
        )
        hexa = "printf('%08x%08x', {0}, {1})"
        now = "CAST(strftime('%s', 'now') AS REAL)"
    else:
        bounds = "CAST(:first AS bigint), CAST(:last AS bigint)"
        source = f"(SELECT i FROM generate_series({bounds}) AS n(i)) AS s"
        hexa = "lpad(to_hex({0}), 8, '0') || lpad(to_hex({1}), 8, '0')"
        now = "extract(epoch FROM clock_timestamp())"
    words = [_word(n) for n in (2654435761, 2246822519, 3266489917, 668265263)]
    sql = statement.format(
        source=source, now=now,
        first_hash=hexa.format(*words[:2]), middle_hash=hexa.format(*words[2:]),
        kind=f"({_word(40503)}) % 1000", u1=_unit(48271), u2=_unit(69621), u3=_unit(16807),
    )  # fmt: skip
    with writing(engine) as connection:
        connection.execute(text(sql), {"first": first, "last": last, **values})


def _word(factor: int) -> str:
    """SQL for 32 bits that look like chance, other ones for each factor."""
    return f"((i * {factor} + i / 7 * 374761393) % 4294967296)"


def _unit(factor: int) -> str:
    """SQL for a number from 0 to 1 that looks like chance."""
    return f"(((i * {factor} + i / 11 * 40692) % 1000003) / 1000003.0)"


# the last hundredth of the videos is not split yet
_VIDEOS = """
INSERT INTO videos (id, dataset_id, path, relpath, clip_stem, fingerprint, media_type, duration,
    num_frames, fps, width, height, aspect_ratio, resolution, time_base_num, time_base_den,
    first_pts, size_bytes, num_clips, stage, status)
SELECT i, :dataset, '/videos/folder/video-' || i || '.mp4', 'folder/video-' || i || '.mp4',
    'folder/video-' || i, 'fingerprint-' || i, 'video', 600.0, 18000, 30.0, 1920, 1080, 0.5625,
    2073600, 1, 30000, 0, 100000000, :clips,
    CASE WHEN i > :videos * 0.99 THEN 'split' ELSE 'done' END,
    CASE WHEN i > :videos * 0.99 THEN 'active' ELSE 'kept' END
FROM {source}"""

_CLIPS = """
INSERT INTO clips (dataset_id, video_id, clip_index, text, num_frames, fps, width, height,
    aspect_ratio, resolution, text_len, start_pts, end_pts, start_frame, start_seconds, end_seconds,
    seconds, hash_first, hash_middle, duplicate, duplicate_of, duplicate_distance, dedup_seq, flow,
    black, total_text_percentage, max_single_percentage, num_boxes, ocr, path, stage, status,
    reason, error)
SELECT :dataset, (i - 1) / :clips + 1, (i - 1) % :clips,
    'what is seen in the clip, as a model words it, no. ' || i,
    180, 30.0, 1920, 1080, 0.5625, 2073600, 14, j * 180000, j * 180000 + 180000, j * 180,
    j * 6.0, j * 6.0 + 6.0, 6.0,
    {first_hash}, {middle_hash},
    CASE WHEN k >= 30 THEN CASE WHEN k < 280 THEN 1 ELSE 0 END END,
    CASE WHEN k >= 30 AND k < 280 THEN CASE WHEN i > 7 THEN i - 7 ELSE 1 END END,
    CASE WHEN k >= 30 AND k < 280 THEN 2 END,
    CASE WHEN k >= 30 THEN i END,
    CASE WHEN k >= 385 THEN {u1} END,
    CASE WHEN k >= 385 THEN CASE WHEN k < 505 THEN 0.5001 + 0.4999 * {u2} ELSE 0.5 * {u2} END END,
    CASE WHEN k >= 560 THEN CASE WHEN k < 760 THEN 0.1501 + 0.8499 * {u3} ELSE 0.15 * {u3} END END,
    CASE WHEN k >= 560 THEN 0.01 END, CASE WHEN k >= 560 THEN 1 END,
    CASE WHEN k >= 560 THEN 0.01 END,
    CASE WHEN k >= 790
         THEN '/clips/folder/video-' || ((i - 1) / :clips + 1) || '_' || j || '.mp4' END,
    CASE WHEN k < 30 THEN 'dedup' WHEN k < 385 THEN 'motion' WHEN k < 560 THEN 'ocr'
         WHEN k < 790 THEN 'cut' ELSE 'done' END,
    CASE WHEN k < 30 THEN 'active' WHEN k < 280 THEN 'dropped' WHEN k < 380 THEN 'active'
         WHEN k < 385 THEN 'failed' WHEN k < 505 THEN 'dropped' WHEN k < 555 THEN 'active'
         WHEN k < 560 THEN 'failed' WHEN k < 760 THEN 'dropped' WHEN k < 785 THEN 'active'
         WHEN k < 790 THEN 'failed' ELSE 'kept' END,
    CASE WHEN k < 30 THEN NULL WHEN k < 280 THEN 'unique' WHEN k < 380 THEN NULL
         WHEN k < 385 THEN 'RunError'
         WHEN k < 505 THEN 'not_black' WHEN k < 555 THEN NULL WHEN k < 560 THEN 'RunError'
         WHEN k < 760 THEN 'little_text' WHEN k < 785 THEN NULL WHEN k < 790 THEN 'DecodeError' END,
    CASE WHEN k BETWEEN 380 AND 384 OR k BETWEEN 555 AND 559 OR k BETWEEN 785 AND 789
         THEN 'it could not be read' END
FROM (SELECT i, (i - 1) % :clips AS j, {kind} AS k FROM {source}) AS rows_made"""

_BATCHES = """
INSERT INTO batches (dataset_id, stage, worker, n_ok, n_failed, started_at, seconds, version)
SELECT :dataset, CASE i % 4 WHEN 0 THEN 'dedup' WHEN 1 THEN 'motion'
    WHEN 2 THEN 'ocr' ELSE 'cut' END,
    'host:1', 64, 0, {now} - (:batches - i) * 0.5, 0.4, '0'
FROM {source}"""


def by_status(engine: Engine) -> dict[tuple[str, str], int]:
    """How many clips there are of each stage and status."""
    with reading(engine) as connection:
        found = connection.execute(text("SELECT stage, status, count(*) FROM clips GROUP BY 1, 2"))
        return {(row[0], row[1]): int(row[2]) for row in found}
