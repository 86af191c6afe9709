"""Deletes datasets, a few videos at a time: a delete that was killed can be seen and finished."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    Engine,
    Text,
    delete,
    func,
    literal,
    or_,
    select,
    text,
    type_coerce,
    update,
)

from curate.configs.schema import DELETING
from curate.db.datasets import Dataset
from curate.db.engine import is_sqlite, reading, writing
from curate.db.home import home_of, stored_forms
from curate.db.prune import prune_batches
from curate.db.queue.leases import count_leased
from curate.db.save.batch import lock_dataset
from curate.db.schema import clips, datasets, videos

VIDEOS_AT_ONCE = 100  # rows of `videos` a transaction, with all their clips


class ClipFile(NamedTuple):
    """What the name of a clip's file is made of, and its path where it was cut."""

    clip_id: int
    video_id: int
    stem: str
    clip_index: int
    path: str | None


def mark_deleting(engine: Engine, dataset: Dataset) -> int:
    """Let nobody work on a dataset any more, for good; returns the rows at work. Where there are
    any, nothing was done.
    """
    with writing(engine) as connection:
        lock_dataset(connection, dataset.id, exclusive=True)
        at_work = count_leased(connection, dataset.id)
        if not at_work:
            gone = update(datasets).where(datasets.c.id == dataset.id).values(state=DELETING)
            connection.execute(gone)
        return at_work


def video_groups(engine: Engine, dataset_id: int) -> Iterator[list[int]]:
    """The ids of a dataset's videos, VIDEOS_AT_ONCE at a time; each group may be deleted before the
    next is asked for.
    """
    after = 0
    while True:
        query = select(videos.c.id).where(videos.c.dataset_id == dataset_id, videos.c.id > after)
        with reading(engine) as connection:
            found = connection.execute(query.order_by(videos.c.id).limit(VIDEOS_AT_ONCE))
            ids = [int(i) for i in found.scalars()]
        if not ids:
            return
        yield ids
        after = ids[-1]


def clip_files(engine: Engine, video_ids: Sequence[int]) -> list[ClipFile]:
    """The clips of videos, by what their files are called."""
    query = (
        select(clips.c.id, clips.c.video_id, videos.c.clip_stem, clips.c.clip_index, clips.c.path)
        .join_from(clips, videos, clips.c.video_id == videos.c.id)
        .where(clips.c.video_id.in_(video_ids))
    )
    with reading(engine) as connection:
        return [ClipFile(*row) for row in connection.execute(query)]


# one lookup by the unique index of (video_id, clip_index) for each; SQLite first
_BY_INDEX = (
    "SELECT c.video_id, c.clip_index, c.status, c.path IS NOT NULL FROM json_each(:names) AS n "
    "CROSS JOIN clips AS c ON c.video_id = json_extract(n.value, '$[0]') "
    "AND c.clip_index = json_extract(n.value, '$[1]')",
    "SELECT c.video_id, c.clip_index, c.status, c.path IS NOT NULL "
    "FROM unnest(CAST(:videos AS bigint[]), CAST(:indices AS bigint[])) AS n (video, index) "
    "JOIN clips AS c ON c.video_id = n.video AND c.clip_index = n.index",
)


def clips_by_index(
    engine: Engine, names: Sequence[tuple[int, int]]
) -> dict[tuple[int, int], tuple[str, bool]]:
    """The status of clips, and whether they have a file by their rows, by the id of their video
    and their index in it.
    """
    values: dict[str, Any] = {"names": json.dumps(names)}
    if not is_sqlite(engine):
        values = {"videos": [v for v, _ in names], "indices": [i for _, i in names]}
    with reading(engine) as connection:
        found = connection.execute(text(_BY_INDEX[0 if is_sqlite(engine) else 1]), values)
        return {(video, index): (status, bool(has)) for video, index, status, has in found}


def known_sources(engine: Engine, paths: Sequence[str]) -> set[str]:
    """Those of the paths that are the source of a video, of any dataset, also by links."""
    forms = {path: _forms(engine, path) for path in paths}
    as_stored = type_coerce(videos.c.path, Text)
    with reading(engine) as connection:
        ids = list(connection.execute(select(datasets.c.id)).scalars())
        query = select(as_stored).where(
            videos.c.dataset_id.in_(ids), as_stored.in_(set().union(*forms.values()))
        )
        known = set(connection.execute(query).scalars())
    return {path for path, of_path in forms.items() if not of_path.isdisjoint(known)}


def holds_sources(engine: Engine, folder: str) -> bool:
    """Whether the root or a source of any dataset lies in a folder or URL, or is it."""
    forms = _forms(engine, folder)
    as_stored = {table: type_coerce(table.c[name], Text) for table, name in _SOURCES}
    inside = []
    for path in as_stored.values():
        below = [func.substr(path, 1, len(form) + 1) == f"{form}/" for form in forms]
        inside.append(select(literal(1)).where(or_(path.in_(forms), *below)))
    with reading(engine) as connection:
        if any(connection.execute(query.limit(1)).first() for query in inside):
            return True
        roots = connection.execute(select(datasets.c.root)).scalars()
        linked = {form for root in roots for form in _forms(engine, root)}
    return any(f"{root}/".startswith(f"{form}/") for root in linked for form in forms)


_SOURCES = ((datasets, "root"), (videos, "path"))


def _forms(engine: Engine, path: str) -> set[str]:
    """The ways in which a path may be stored, and in which the file that it leads to may be."""
    home = home_of(engine.dialect)
    forms = stored_forms(path, home)
    if path.startswith("/"):
        real = os.path.realpath(path)
        forms |= stored_forms(real, home) | stored_forms(real, os.path.realpath(home))
    return forms


def count_videos(engine: Engine, dataset_id: int) -> int:
    """How many videos a dataset has."""
    query = select(func.count()).where(videos.c.dataset_id == dataset_id)
    with reading(engine) as connection:
        return int(connection.execute(query).scalar_one())


def videos_by_stem(engine: Engine, dataset_id: int, stems: Sequence[str]) -> dict[str, int]:
    """The ids of a dataset's videos whose clips are called by these names."""
    query = select(videos.c.clip_stem, videos.c.id).where(
        videos.c.dataset_id == dataset_id, videos.c.clip_stem.in_(list(stems))
    )
    with reading(engine) as connection:
        return {stem: int(i) for stem, i in connection.execute(query)}


def delete_clips(engine: Engine, video_ids: Sequence[int]) -> None:
    """Delete all clips of videos of a dataset that is being deleted, and what was found in them."""
    with writing(engine) as connection:
        connection.execute(delete(clips).where(clips.c.video_id.in_(video_ids)))


def delete_dataset(engine: Engine, dataset_id: int) -> None:
    """Delete a dataset that has no clips any more: its history, and at last its videos and itself.

    Until then it is known which files are sources.
    """
    prune_batches(engine, dataset_id, days=-1)
    with writing(engine) as connection:
        connection.execute(delete(datasets).where(datasets.c.id == dataset_id))
