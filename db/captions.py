"""Captions from outside of the line: rows of `captions` that a table brought, and the text of their
clips.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, bindparam, delete, func, insert, select, update

from curate.configs.schema import Column
from curate.configs.texts import input_cell
from curate.db.engine import reading, writing
from curate.db.filters import check as filters
from curate.db.schema import captions, clips, videos

CHUNK = 400  # rows a transaction; SQLite takes 999 values in one statement at the least


@dataclass(frozen=True)
class Told:
    """What a row of a table says: about which clip, by its id or a path, and the text."""

    clip_id: int | None
    path: str
    text: str


@dataclass
class Loaded:
    """What became of the rows: how many are the text of a clip now, were it before, were empty, or
    about no clip.
    """

    loaded: int = 0
    unchanged: int = 0
    empty: int = 0
    unknown: int = 0


def load(engine: Engine, dataset_id: int, rows: Iterable[Told], model: str) -> Loaded:
    """Make each text a caption by `model`, in the place of an earlier one by it, and the text of
    its clip.

    A path is that of a clip's file or of a video with one clip. Of several rows about a clip the
    last one counts. What is a clip's text already is no caption of its own: most rows of an
    exported table come back as they were.
    """
    done = Loaded()
    source = iter(rows)
    while chunk := list(itertools.islice(source, CHUNK)):
        with writing(engine) as connection:
            _load(connection, dataset_id, chunk, model, done)
    return done


def _load(
    connection: Connection, dataset_id: int, rows: Sequence[Told], model: str, done: Loaded
) -> None:
    full = [row for row in rows if row.text]
    known = _known(connection, dataset_id, [row.clip_id for row in full if row.clip_id is not None])
    by_path = _by_path(connection, dataset_id, [row.path for row in full if row.clip_id is None])
    texts: dict[int, str] = {}
    for row in full:
        clip = (
            by_path.get(row.path)
            if row.clip_id is None
            else row.clip_id
            if row.clip_id in known
            else None
        )
        done.unknown += clip is None
        if clip is not None:
            texts[clip] = row.text
    done.empty += len(rows) - len(full)
    had = select(clips.c.id, clips.c.text).where(clips.c.id.in_(texts))
    same_text = [
        int(clip) for clip, text in connection.execute(had) if (text or "").strip() == texts[clip]
    ]
    for clip in same_text:
        del texts[clip]
    done.unchanged += len(same_text)
    done.loaded += len(texts)
    if not texts:
        return
    connection.execute(
        delete(captions).where(captions.c.clip_id.in_(texts), captions.c.model == model)
    )
    same = {"model": model, "revision": "", "prompt": "", "created_at": time.time()}
    new = [{**same, "clip_id": clip, "text_raw": text} for clip, text in texts.items()]
    connection.execute(insert(captions), new)
    _set_texts(connection, texts)


def _set_texts(connection: Connection, texts: Mapping[int, str | None]) -> None:
    changed = update(clips).where(clips.c.id == bindparam("clip")).values(text=bindparam("words"))
    connection.execute(changed, [{"clip": clip, "words": text} for clip, text in texts.items()])


def having(
    engine: Engine, dataset_id: int, where: str, columns: Mapping[str, Column], model: str
) -> list[int]:
    """The ids of clips with a caption by `model`, in order; with `where` only those for which that
    predicate is true.

    `columns` are those that the pipeline writes to clips. Raises FilterError for a wrong predicate.
    """
    chosen = filters.chosen(where, filters.columns_of(clips) | dict(columns), engine.dialect.name)
    theirs = select(captions.c.clip_id).where(captions.c.model == model)
    found = select(clips.c.id).where(
        clips.c.dataset_id == dataset_id, clips.c.id.in_(theirs), chosen
    )
    with reading(engine) as connection:
        return [int(row[0]) for row in connection.execute(found.order_by(clips.c.id))]


def drop(engine: Engine, clip_ids: Sequence[int], model: str) -> int:
    """Delete the captions by `model` of these clips; returns of how many. Their text is the newest
    of the other captions then, as it was cleaned or written, or what came with the input, until
    clean_text chooses.
    """
    dropped = 0
    for start in range(0, len(clip_ids), CHUNK):
        with writing(engine) as connection:
            theirs = (
                captions.c.clip_id.in_(clip_ids[start : start + CHUNK]),
                captions.c.model == model,
            )
            gone = select(captions.c.clip_id).where(*theirs).distinct()
            ids = [int(row[0]) for row in connection.execute(gone)]
            connection.execute(delete(captions).where(*theirs))
            if ids:
                _set_texts(connection, _texts_left(connection, ids))
            dropped += len(ids)
    return dropped


def _texts_left(connection: Connection, ids: Sequence[int]) -> dict[int, str | None]:
    given = select(clips.c.id, videos.c.extra).join_from(
        clips, videos, clips.c.video_id == videos.c.id
    )
    extras = connection.execute(given.where(clips.c.id.in_(ids)))
    texts = {int(clip): input_cell(extra, "text") for clip, extra in extras}
    left = select(captions.c.clip_id, func.coalesce(captions.c.text, captions.c.text_raw))
    rows = connection.execute(left.where(captions.c.clip_id.in_(ids)).order_by(captions.c.id))
    return texts | {int(clip): text for clip, text in rows}


def _known(connection: Connection, dataset_id: int, ids: Sequence[int]) -> set[int]:
    found = select(clips.c.id).where(clips.c.dataset_id == dataset_id, clips.c.id.in_(ids))
    return {int(row[0]) for row in connection.execute(found)}


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
