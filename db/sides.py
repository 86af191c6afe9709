"""Which side of a split each clip is on, such as train or val: decided once, then stored.

All clips of a source are on one side, and so are all copies of a clip (`duplicate_of`): sources
that copies join follow the oldest of them. The oldest source's side comes from a hash of its path
below the dataset's root, so it is the same in every home. A side that is stored never changes. A
later clip that would join two sides stays without one: no export by sides writes it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
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


@dataclass
class _Joined:
    """Sets of sources and copies that must be on one side; each set has one side, or none yet."""

    above: dict[int, int] = field(default_factory=dict)
    side: dict[int, str] = field(default_factory=dict)  # of the set, by the node on top
    oldest: dict[int, int] = field(default_factory=dict)  # the lowest id of its sources

    def top(self, node: int) -> int:
        """The node that stands for the set of a node."""
        self.above.setdefault(node, node)
        while self.above[node] != node:
            self.above[node] = node = self.above[self.above[node]]
        return node

    def join(self, nodes: Iterable[int]) -> bool:
        """Join the sets of nodes, unless they are on two sides: then False."""
        tops = list(dict.fromkeys(map(self.top, nodes)))
        sides = {self.side[top] for top in tops if top in self.side}
        if len(sides) > 1:
            return False
        first = tops[0]
        for top in tops[1:]:
            self.above[top] = first
        for side in sides:
            self.side[first] = side
        self.oldest[first] = min(self.oldest[top] for top in tops if top in self.oldest)
        return True


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
    joined, left_out = members.join()
    paths = members.relpaths(joined)
    found.left_out = len(left_out)
    by_side: dict[str, list[int]] = {name: [] for name in shares}
    seen: dict[str, int] = dict.fromkeys(shares, 0)  # the last source counted

    def side_for(row: Any) -> str:
        source = _source(row.video_id)
        if source not in joined.above:
            return row.stored or side_of(row.relpath, shares)
        top = joined.top(source)
        return joined.side.get(top) or side_of(paths[joined.oldest[top]], shares)

    if members.on_others(shares):
        for row in members.without_side():
            if row.clip_id not in left_out and (side := side_for(row)) not in shares:
                why = f"new clips follow others on the side {side}, which --split does not name"
                raise SidesDiffer(why=why)
    found.new = dict.fromkeys(shares, 0)
    for row in members.without_side():
        if row.clip_id in left_out:
            continue
        side = side_for(row)
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


def _source(video_id: int) -> int:  # odd numbers are sets of copies, by their original
    return video_id * 2


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

    def join(self) -> tuple[_Joined, set[int]]:
        """What copies join, and the clips that are left out because they would join two sides."""
        joined = _Joined()
        left_out: set[int] = set()
        with reading(self._engine) as connection:
            found = self._copied(connection)
            nodes = {_source(video) for _, video, _, _ in found}
            same = self._same_files(connection)
            nodes.update(_source(video) for group in same for video in group)
            for video, stored in self._stored(connection, [n // 2 for n in nodes]):
                joined.side[_source(video)] = stored
        joined.oldest = {node: node // 2 for node in nodes}
        for group in same:
            if not joined.join(map(_source, group)):
                raise SidesDiffer(
                    why="a file of two datasets is on two sides since they were split"
                )
        # what has a side first: later clips follow it
        for clip, video, copies, side in sorted(found, key=lambda f: (f[3] is None, f[1], f[0])):
            if not joined.join([_source(video), *(2 * original + 1 for original in copies)]):
                left_out.update([clip] if side is None else [])
        return joined, left_out

    def _copied(self, connection: Connection) -> list[tuple[int, int, list[int], str | None]]:
        """The clips that have copies: id, source, the originals of its sets of copies, side."""
        names = ("clip_id", "video_id", "duplicate_of", "side")
        query = self._clips.add_columns(*[column(n) for n in names]).where(self._member)
        copies = connection.execute(query.where(column("duplicate_of").is_not(None))).all()
        originals = select(clips.c.duplicate_of).where(
            clips.c.dataset_id.in_(self._ids), clips.c.duplicate_of.is_not(None)
        )
        of_copies = connection.execute(query.where(column("clip_id").in_(originals))).all()
        sets: dict[int, tuple[int, set[int], str | None]] = {}
        for clip, video, original, side in [*copies, *of_copies]:
            sets.setdefault(clip, (video, set(), side))
            sets[clip][1].update([] if original is None else [original])
        for clip, *_ in of_copies:
            sets[clip][1].add(clip)
        return [(clip, video, sorted(s), side) for clip, (video, s, side) in sets.items()]

    def _same_files(self, connection: Connection) -> list[list[int]]:
        """The ids of sources that are one file in several datasets."""
        if len(self._ids) < 2:
            return []
        of_these = videos.c.dataset_id.in_(self._ids)
        twice = select(videos.c.path).where(of_these).group_by(videos.c.path)
        query = select(videos.c.path, videos.c.id).where(
            of_these, videos.c.path.in_(twice.having(func.count() > 1))
        )
        groups: dict[str, list[int]] = {}
        for path, video in connection.execute(query.order_by(videos.c.id)):
            groups.setdefault(path, []).append(video)
        return list(groups.values())

    def _stored(self, connection: Connection, ids: list[int]) -> Iterator[tuple[int, str]]:
        """The sources among these that have a side."""
        query = select(clips.c.video_id, func.min(clips.c.side)).where(
            clips.c.side.is_not(None), among_these(clips.c.video_id, sorted(ids))
        )
        yield from map(tuple, connection.execute(query.group_by(clips.c.video_id)))

    def relpaths(self, joined: _Joined) -> dict[int, str]:
        """The paths, below their root, of the oldest sources of sets that have no side yet."""
        tops = {joined.top(node) for node in joined.above}
        ids = sorted({joined.oldest[top] for top in tops if top not in joined.side})
        query = select(videos.c.id, videos.c.relpath).where(among_these(videos.c.id, ids))
        with reading(self._engine) as connection:
            return dict(map(tuple, connection.execute(query)))

    def without_side(self) -> Iterator[Any]:
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
