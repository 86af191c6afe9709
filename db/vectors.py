"""Stored embeddings in bulk, and the search for clips through them."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Engine, func, literal_column, select

from curate.db.engine import reading
from curate.db.filters.sql import to_sql
from curate.db.schema import clips, datasets, embeddings, videos

CHUNK = 4096  # rows read at a time

# the scores of frames, the higher the better: of the revision of their embeddings, and of these
Scores = Callable[[str, Sequence[bytes]], Sequence[float]]


def embedded(
    engine: Engine, dataset_id: int, model: str, where: str = ""
) -> Iterator[tuple[list[int], str, list[bytes]]]:
    """The embeddings of a dataset by one model, in chunks of one revision: clip ids, revision,
    vectors as stored.

    `where` is a filter's predicate over clips, checked before. Memory does not grow with the
    dataset.
    """
    with reading(engine) as connection:
        columns = (embeddings.c.clip_id, embeddings.c.revision, embeddings.c.vector)
        mine = select(clips.c.id).where(clips.c.dataset_id == dataset_id)
        if where:
            mine = mine.where(literal_column(f"({to_sql(where, connection.dialect.name)})"))
        query = select(*columns).where(embeddings.c.model == model, embeddings.c.clip_id.in_(mine))
        rows = connection.execution_options(yield_per=CHUNK).execute(query)
        for part in rows.partitions():
            for revision in sorted({row[1] for row in part}):
                same = [row for row in part if row[1] == revision]
                yield [int(row[0]) for row in same], revision, [bytes(row[2]) for row in same]


def embedders(engine: Engine, dataset_id: int, where: str = "") -> list[tuple[str, str, int]]:
    """Who embedded clips of a dataset: model, revision, how many clips; most clips first."""
    with reading(engine) as connection:
        mine = select(clips.c.id).where(clips.c.dataset_id == dataset_id)
        if where:
            mine = mine.where(literal_column(f"({to_sql(where, connection.dialect.name)})"))
        who = (embeddings.c.model, embeddings.c.revision)
        number = func.count(embeddings.c.clip_id.distinct())
        query = select(*who, number).where(embeddings.c.clip_id.in_(mine)).group_by(*who)
        return [(m, r, int(n)) for m, r, n in connection.execute(query.order_by(-number, *who))]


def best_clips(
    engine: Engine, dataset_id: int, model: str, scores: Scores, count: int, where: str = ""
) -> list[tuple[int, float]]:
    """The clips of the highest scores, the best first: id and score of the best of their frames.

    Reads every embedding, as `embedded` does. Empty if there is none; then nothing was scored.
    """
    best: dict[int, float] = {}
    for ids, revision, vectors in embedded(engine, dataset_id, model, where):
        for clip, score in zip(ids, scores(revision, vectors), strict=True):
            best[clip] = max(score, best.get(clip, score))
        if len(best) > 20 * count + 100_000:  # memory grows with `count`, not with the clips
            best = dict(_largest(best, count))
    return _largest(best, count)


def _largest(scores: Mapping[int, float], count: int) -> list[tuple[int, float]]:
    return heapq.nsmallest(count, scores.items(), key=lambda item: (-item[1], item[0]))


def described(engine: Engine, ids: Sequence[int]) -> dict[int, Mapping[str, Any]]:
    """What a person wants to know of clips, by id: dataset, video, start and end in seconds, path,
    status, text.
    """
    query = (
        select(
            clips.c.id,
            datasets.c.name.label("dataset"),
            videos.c.path.label("video"),
            clips.c.clip_index,
            clips.c.start_seconds,
            clips.c.end_seconds,
            clips.c.path,
            clips.c.status,
            clips.c.text,
        )
        .join(videos, videos.c.id == clips.c.video_id)
        .join(datasets, datasets.c.id == clips.c.dataset_id)
    )
    rows: dict[int, Mapping[str, Any]] = {}
    with reading(engine) as connection:
        for start in range(0, len(ids), CHUNK):  # engines bound the values of a statement
            chunk = query.where(clips.c.id.in_(list(ids[start : start + CHUNK])))
            rows |= {row["id"]: dict(row) for row in connection.execute(chunk).mappings()}
    return rows
