"""Captions that a table brought, not a stage: their rows, and the text of their clips."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, bindparam, delete, func, insert, select, update

from curate.configs.schema import Column
from curate.configs.texts import input_cell
from curate.db.engine import reading, writing
from curate.db.filters.check import condition_of
from curate.db.filters.columns import columns_of
from curate.db.schema import captions, clips, videos

CHUNK = 400  # rows a transaction; SQLite takes 999 values in one statement at the least


@dataclass(frozen=True)
class TableCaption:
    """A caption of a table, and the clip that it is about: by its id, or by a path."""

    clip_id: int | None
    path: str
    text: str


@dataclass
class LoadCounts:
    """What became of captions: how many are the text of a clip now, were it before, were empty, or
    about no clip.
    """

    loaded: int = 0
    unchanged: int = 0
    empty: int = 0
    unknown: int = 0


def load(engine: Engine, dataset_id: int, rows: Iterable[TableCaption], model: str) -> LoadCounts:
    """Make each text a caption by `model`, in the place of an earlier one by it, and the text of
    its clip.

    A path is that of a clip's file or of a video with one clip. Of several rows about a clip the
    last one counts. What is a clip's text already is no caption of its own: most rows of an
    exported table come back as they were.
    """
    counts = LoadCounts()
    source = iter(rows)
    while chunk := list(itertools.islice(source, CHUNK)):
        with writing(engine) as connection:
            texts = _texts(connection, dataset_id, chunk, counts)
            if not texts:
                continue
            earlier = (captions.c.clip_id.in_(texts), captions.c.model == model)
            connection.execute(delete(captions).where(*earlier))
            same = {"model": model, "revision": "", "prompt": "", "created_at": time.time()}
            new = [{**same, "clip_id": clip, "text_raw": text} for clip, text in texts.items()]
            connection.execute(insert(captions), new)
            _set_texts(connection, texts)
    return counts


def _texts(
    connection: Connection, dataset_id: int, rows: Sequence[TableCaption], counts: LoadCounts
) -> dict[int, str]:
    """The new texts by clip; the other rows are only counted."""
    full = [row for row in rows if row.text]
    ids = [row.clip_id for row in full if row.clip_id is not None]
    of_ids = select(clips.c.id).where(clips.c.dataset_id == dataset_id, clips.c.id.in_(ids))
    known = {int(row[0]) for row in connection.execute(of_ids)}
    by_path = _by_path(connection, dataset_id, [row.path for row in full if row.clip_id is None])
    texts: dict[int, str] = {}
    for row in full:
        clip = by_path.get(row.path) if row.clip_id is None else row.clip_id
        if clip is None or (row.clip_id is not None and clip not in known):
            counts.unknown += 1
        else:
            texts[clip] = row.text
    before = select(clips.c.id, clips.c.text).where(clips.c.id.in_(texts))
    for clip, text in connection.execute(before).all():
        if (text or "").strip() == texts[clip]:
            del texts[clip]
            counts.unchanged += 1
    counts.empty += len(rows) - len(full)
    counts.loaded += len(texts)
    return texts


def _by_path(connection: Connection, dataset_id: int, paths: Sequence[str]) -> dict[str, int]:
    """Clips by the path of their file, else by that of their video when it has only the one."""
    of_video = (
        select(videos.c.path, func.min(clips.c.id))
        .join_from(clips, videos, clips.c.video_id == videos.c.id)
        .where(videos.c.dataset_id == dataset_id, videos.c.path.in_(paths))
        .group_by(videos.c.path)
        .having(func.count() == 1)
    )
    of_clip = select(clips.c.path, clips.c.id).where(
        clips.c.dataset_id == dataset_id, clips.c.path.in_(paths)
    )
    return {
        str(path): int(clip)
        for query in (of_video, of_clip)
        for path, clip in connection.execute(query)
    }


def _set_texts(connection: Connection, texts: Mapping[int, str | None]) -> None:
    changed = update(clips).where(clips.c.id == bindparam("clip")).values(text=bindparam("words"))
    connection.execute(changed, [{"clip": clip, "words": text} for clip, text in texts.items()])


def having(
    engine: Engine, dataset_id: int, where: str, columns: Mapping[str, Column], model: str
) -> list[int]:
    """The ids of clips with a caption by `model`, in order, for which the predicate `where` is true
    (empty: of all).

    `columns` are those that the pipeline writes to clips. Raises FilterError for a wrong predicate.
    """
    condition = condition_of(where, columns_of(clips) | dict(columns), engine.dialect.name)
    captioned = select(captions.c.clip_id).where(captions.c.model == model)
    query = select(clips.c.id).where(
        clips.c.dataset_id == dataset_id, clips.c.id.in_(captioned), condition
    )
    with reading(engine) as connection:
        return [int(row[0]) for row in connection.execute(query.order_by(clips.c.id))]


def drop(engine: Engine, clip_ids: Sequence[int], model: str) -> int:
    """Delete the captions by `model` of these clips; returns how many clips had any.

    The text of such a clip becomes the newest of its other captions, as it was cleaned or written,
    or what came with the input, until clean_text chooses.
    """
    dropped = 0
    for start in range(0, len(clip_ids), CHUNK):
        with writing(engine) as connection:
            chunk = clip_ids[start : start + CHUNK]
            theirs = (captions.c.clip_id.in_(chunk), captions.c.model == model)
            captioned = select(captions.c.clip_id).where(*theirs).distinct()
            ids = [int(row[0]) for row in connection.execute(captioned)]
            connection.execute(delete(captions).where(*theirs))
            if ids:
                given = select(clips.c.id, videos.c.extra).join_from(
                    clips, videos, clips.c.video_id == videos.c.id
                )
                extras = connection.execute(given.where(clips.c.id.in_(ids)))
                texts = {int(clip): input_cell(extra, "text") for clip, extra in extras}
                left = select(
                    captions.c.clip_id, func.coalesce(captions.c.text, captions.c.text_raw)
                ).where(captions.c.window_start_pts.is_(None))
                rows = connection.execute(
                    left.where(captions.c.clip_id.in_(ids)).order_by(captions.c.id)
                )
                _set_texts(connection, texts | {int(clip): text for clip, text in rows})
            dropped += len(ids)
    return dropped
