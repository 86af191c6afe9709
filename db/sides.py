"""Which side of a split each clip is on, such as train or val: decided once, then stored.

All clips of a source are on one side, and so are all copies of a clip (`duplicate_of`): sources
that copies join follow the oldest of them. The oldest source's side comes from a hash of its path
below the dataset's root, so it is the same in every home. A side that is stored never changes. A
later clip that would join two sides stays without one: no export by sides writes it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    and_,
    column,
    func,
    literal_column,
    or_,
    select,
)

from curate.configs.errors import SidesDiffer
from curate.configs.pipeline import Pipeline
from curate.db.engine import reading, writing
from curate.db.export import CHUNK, known_columns
from curate.db.expressions import among_these
from curate.db.filters.sql import to_sql
from curate.db.joined_sets import JoinedSets
from curate.db.queue.leases import update_in_order
from curate.db.schema import clips, videos
from curate.db.selection import STATUSES, Selection, chosen_clips

Shares = Mapping[str, float]  # of each side, in the order in which they were named; 1 in all


@dataclass
class Sides:
    """What became of the clips that were asked for, by side: how many clips, and how many of them
    got their side just now; of how many sources. `left_out`: clips that would join two sides.
    """

    clips: dict[str, int]
    new: dict[str, int]
    sources: dict[str, int]
    left_out: int = 0


def side_of(path: str, shares: Shares) -> str:
    """The side of a source that follows no other one, by its path below the dataset's root."""
    digest = hashlib.sha256(f"side/{path}".encode()).digest()
    point = int.from_bytes(digest[:8], "big") / 2**64
    for name, end in zip(shares, accumulate(shares.values()), strict=True):
        if point < end:
            return name
    return list(shares)[-1]  # the shares add up to a little less than 1


def assign_sides(
    engine: Engine,
    chosen: Sequence[tuple[int, Pipeline]],
    selection: Selection,
    shares: Shares,
    store: bool = True,
) -> Sides:
    """Give a side to each clip that is asked for and has none, and count.

    Copies count as such where both are asked for or have a side. `store`: else nothing is written.
    Raises SidesDiffer, before anything is stored, where clips are on a side that `shares` does not
    name, or follow others that are, or one source, in two datasets, is on two.
    """
    members = _Members(engine, chosen, selection)
    found = members.count()
    if unknown := [name for name in found.clips if name not in shares]:
        raise SidesDiffer(why=f"clips are on the side {unknown[0]}, which --split does not name")
    with JoinedSets() as joined:
        members.join(joined, shares)
        found.left_out = joined.count_left_out()
        if members.on_others(shares):
            for _, side in members.new_sides(joined, shares):
                if side not in shares:
                    why = f"new clips follow others on the side {side}"
                    raise SidesDiffer(why=f"{why}, which --split does not name")
        by_side: dict[str, list[int]] = {name: [] for name in shares}
        seen: dict[str, int] = dict.fromkeys(shares, 0)  # the last source counted
        found.new = dict.fromkeys(shares, 0)
        for row, side in members.new_sides(joined, shares):
            found.new[side] += 1
            if row.stored is None and seen[side] != row.video_id:
                seen[side] = row.video_id
                found.sources[side] = found.sources.get(side, 0) + 1
            by_side[side].append(row.clip_id)
            if len(by_side[side]) >= CHUNK:
                if store:
                    _store(engine, side, by_side[side])
                by_side[side] = []
    for side, ids in by_side.items():
        if store and ids:
            _store(engine, side, ids)
    found.clips = {name: found.clips.get(name, 0) + found.new[name] for name in shares}
    found.sources = {name: found.sources.get(name, 0) for name in shares}
    return found


def forget_sides(engine: Engine, dataset_ids: Sequence[int]) -> None:
    """Let the next export decide anew: no clip of these datasets is on a side."""
    with writing(engine) as connection:
        stored = (clips.c.dataset_id.in_(dataset_ids), clips.c.side.is_not(None))
        connection.execute(update_in_order(clips, *stored).values(side=None))


def _store(engine: Engine, side: str, ids: list[int]) -> None:
    with writing(engine) as connection:
        rows = (among_these(clips.c.id, ids), clips.c.side.is_(None))
        connection.execute(update_in_order(clips, *rows).values(side=side))


class _Members:
    """The clips that a split is about: those that are asked for, and those that have a side."""

    def __init__(
        self, engine: Engine, chosen: Sequence[tuple[int, Pipeline]], selection: Selection
    ) -> None:
        self._engine = engine
        self._ids = [dataset_id for dataset_id, _ in chosen]
        known = known_columns([pipeline for _, pipeline in chosen])
        every = Selection(statuses=STATUSES)
        self._clips = chosen_clips(self._ids, known, every, engine.dialect.name)
        wanted: ColumnElement[bool] = column("status").in_(list(selection.statuses))
        if selection.where:
            predicate = to_sql(selection.where, engine.dialect.name)
            wanted = and_(wanted, literal_column(f"({predicate})"))
        self._wanted = wanted
        self._member = or_(wanted, column("side").is_not(None))

    def count(self) -> Sides:
        """How many clips that are asked for have which side, and sources."""
        sources = func.count(column("video_id").distinct())
        query = self._clips.add_columns(column("side"), func.count(), sources)
        query = query.where(self._wanted, column("side").is_not(None))
        with reading(self._engine) as connection:
            rows = connection.execute(query.group_by(column("side"))).all()
        return Sides({r[0]: r[1] for r in rows}, {}, {r[0]: r[2] for r in rows})

    def on_others(self, shares: Shares) -> bool:
        """Whether any clip of these datasets, asked for or not, is on a side not named there."""
        others = (clips.c.side.is_not(None), clips.c.side.not_in(list(shares)))
        query = select(clips.c.id).where(clips.c.dataset_id.in_(self._ids), *others).limit(1)
        with reading(self._engine) as connection:
            return connection.scalar(query) is not None

    def join(self, joined: JoinedSets, shares: Shares) -> None:
        """Join what copies join, leave out clips that would join two sides, and give each set the
        side that it has or gets.
        """
        with reading(self._engine) as connection:
            for rows in self._copied(connection):
                joined.add_copies(rows)
            joined.add_files(self._same_files(connection))
            joined.add_sources()
            for ids in joined.sources():
                joined.give_sides(self._stored(connection, ids))
            if not joined.join_files():
                raise SidesDiffer(
                    why="a file of two datasets is on two sides since they were split"
                )
            joined.join_copies()
            for ids in joined.sources(without_side=True):
                query = select(videos.c.id, videos.c.relpath).where(among_these(videos.c.id, ids))
                paths = connection.execute(query).all()
                joined.give_sides((video, side_of(path, shares)) for video, path in paths)

    def _copied(self, connection: Connection) -> Iterator[Iterator[Sequence[Any]]]:
        """The clips that have copies: id, the original of the copies, source, side."""
        streamed = connection.execution_options(yield_per=CHUNK)
        names = ("clip_id", "duplicate_of", "video_id", "side")
        query = self._clips.add_columns(*[column(n) for n in names]).where(self._member)
        yield map(tuple, streamed.execute(query.where(column("duplicate_of").is_not(None))))
        originals = select(clips.c.duplicate_of).where(
            clips.c.dataset_id.in_(self._ids), clips.c.duplicate_of.is_not(None)
        )
        of_copies = streamed.execute(query.where(column("clip_id").in_(originals)))
        yield ((row.clip_id, row.clip_id, row.video_id, row.side) for row in of_copies)

    def _same_files(self, connection: Connection) -> Iterator[tuple[str, int]]:
        """The sources that are one file in several datasets: path and id, by path."""
        if len(self._ids) < 2:
            return
        of_these = videos.c.dataset_id.in_(self._ids)
        twice = select(videos.c.path).where(of_these).group_by(videos.c.path)
        query = select(videos.c.path, videos.c.id).where(
            of_these, videos.c.path.in_(twice.having(func.count() > 1))
        )
        rows = connection.execution_options(yield_per=CHUNK)
        yield from map(tuple, rows.execute(query.order_by(videos.c.path, videos.c.id)))

    def _stored(self, connection: Connection, ids: list[int]) -> list[tuple[int, str]]:
        """The sources among these that have a side."""
        query = select(clips.c.video_id, func.min(clips.c.side)).where(
            clips.c.side.is_not(None), among_these(clips.c.video_id, ids)
        )
        rows = connection.execute(query.group_by(clips.c.video_id))
        return [(video, side) for video, side in rows]

    def new_sides(self, joined: JoinedSets, shares: Shares) -> Iterator[tuple[Any, str]]:
        """The clips that are asked for and get a side now, in order, with that side."""
        source, side = 0, None
        for row in self._without_side():
            if row.video_id != source:
                source, side = row.video_id, joined.side_of_source(row.video_id)
            if side is None:
                yield row, row.stored or side_of(row.relpath, shares)
            elif not joined.is_left_out(row.clip_id):
                yield row, side

    def _without_side(self) -> Iterator[Any]:
        """The clips that are asked for and have no side, in order, with what their source has."""
        stored = (
            select(clips.c.video_id.label("of_video"), func.min(clips.c.side).label("stored"))
            .where(clips.c.dataset_id.in_(self._ids), clips.c.side.is_not(None))
            .group_by(clips.c.video_id)
            .subquery()
        )
        names = ("clip_id", "video_id", "clip_index")
        found = (
            self._clips.add_columns(
                *[column(n) for n in names], column("_relpath").label("relpath")
            )
            .where(self._wanted, column("side").is_(None))
            .subquery()
        )
        query = select(found, stored.c.stored).join_from(
            found, stored, found.c.video_id == stored.c.of_video, isouter=True
        )
        ordered = query.order_by(found.c.video_id, found.c.clip_index)
        with (
            reading(self._engine) as connection,
            connection.execution_options(yield_per=CHUNK).execute(ordered) as rows,
        ):
            yield from rows
