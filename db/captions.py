"""Captions from outside of the line: rows of `captions` that a table brought, and the text of their clips."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, bindparam, delete, func, insert, select, update

from curate.db.engine import writing
from curate.db.tables import captions, clips, videos

CHUNK = 400  # rows a transaction; SQLite takes 999 values in one statement at the least


@dataclass(frozen=True)
class Told:
    """What a row of a table says: about which clip, by its id or a path, and the text."""

    clip_id: int | None
    path: str
    text: str


@dataclass
class Loaded:
    """What became of the rows: how many are the text of a clip now, were empty, or about no clip that is known."""

    loaded: int = 0
    empty: int = 0
    unknown: int = 0


def load(engine: Engine, dataset_id: int, rows: Iterable[Told], model: str) -> Loaded:
    """Make each text a caption by `model`, in the place of an earlier one by it, and the text of its clip.

    A path is that of a clip's file or of a video with one clip. Of several rows about a clip the last one counts.
    """
    done = Loaded()
    source = iter(rows)
    while chunk := list(itertools.islice(source, CHUNK)):
        with writing(engine) as connection:
            _load(connection, dataset_id, chunk, model, done)
    return done


def _load(connection: Connection, dataset_id: int, rows: Sequence[Told], model: str, done: Loaded) -> None:
    full = [row for row in rows if row.text]
    known = _known(connection, dataset_id, [row.clip_id for row in full if row.clip_id is not None])
    by_path = _by_path(connection, dataset_id, [row.path for row in full if row.clip_id is None])
    texts: dict[int, str] = {}
    for row in full:
        clip = by_path.get(row.path) if row.clip_id is None else row.clip_id if row.clip_id in known else None
        done.unknown += clip is None
        if clip is not None:
            texts[clip] = row.text
    done.empty += len(rows) - len(full)
    done.loaded += len(texts)
    if not texts:
        return
    connection.execute(delete(captions).where(captions.c.clip_id.in_(texts), captions.c.model == model))
    same = {"model": model, "revision": "", "prompt": "", "created_at": time.time()}
    new = [{**same, "clip_id": clip, "text_raw": text} for clip, text in texts.items()]
    connection.execute(insert(captions), new)
    changed = update(clips).where(clips.c.id == bindparam("clip")).values(text=bindparam("words"))
    connection.execute(changed, [{"clip": clip, "words": text} for clip, text in texts.items()])


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
    of_clip = select(clips.c.path, clips.c.id).where(clips.c.dataset_id == dataset_id, clips.c.path.in_(paths))
    return {str(path): int(clip) for query in (of_video, of_clip) for path, clip in connection.execute(query)}
