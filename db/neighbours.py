"""The clips before and after a clip in its video."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select

from curate.db.expressions import among_these
from curate.db.schema import clips

Neighbours = Mapping[int, Mapping[int, int]]  # by clip and distance: -1 is the clip before


def neighbours_of(
    connection: Connection, rows: Sequence[Mapping[str, Any]], reach: int
) -> Neighbours:
    """The ids of the clips up to `reach` clips before and after these rows of `clips`, whatever
    became of them.
    """
    distances = [d for d in range(-reach, reach + 1) if d]
    videos = {row["video_id"] for row in rows}
    indexes = {row["clip_index"] + distance for row in rows for distance in distances}
    query = select(clips.c.video_id, clips.c.clip_index, clips.c.id).where(
        among_these(clips.c.video_id, sorted(videos)),
        among_these(clips.c.clip_index, sorted(indexes)),
    )
    ids = {(video, index): int(clip) for video, index, clip in connection.execute(query)}
    return {
        row["id"]: {
            distance: ids[at]
            for distance in distances
            if (at := (row["video_id"], row["clip_index"] + distance)) in ids
        }
        for row in rows
    }


def with_neighbours(ids: Sequence[int], neighbours: Neighbours) -> list[int]:
    """The ids, and those of the neighbours that are not among them."""
    others = {other for found in neighbours.values() for other in found.values()}
    return [*ids, *sorted(others.difference(ids))]
