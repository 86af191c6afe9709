"""Sets of sources and of copies that must be on one side of a split.

They are kept in a database of their own, a temporary file that SQLite removes, so that memory does
not grow with them. A node is a source or the copies of one original; each set has one node on top.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import groupby
from typing import Any

from curate.configs.errors import ServiceError

AT_ONCE = 500  # nodes that are read together
_TABLES = """
PRAGMA journal_mode = OFF;
PRAGMA cache_size = -4000;
CREATE TABLE copies (
    clip INTEGER, original INTEGER, video INTEGER, side TEXT, PRIMARY KEY (clip, original)
) WITHOUT ROWID;
CREATE TABLE files (number INTEGER, video INTEGER, PRIMARY KEY (number, video)) WITHOUT ROWID;
CREATE TABLE nodes (node INTEGER PRIMARY KEY, above INTEGER, side TEXT, oldest INTEGER);
CREATE TABLE left_out (clip INTEGER PRIMARY KEY);
BEGIN;
"""


def source_node(video_id: int) -> int:
    """The node of a source."""
    return video_id * 2


def copies_node(original: int) -> int:
    """The node of an original and its copies."""
    return original * 2 + 1


class JoinedSets(AbstractContextManager["JoinedSets"]):
    """Sets of sources and copies: each has one side or none yet, and the lowest id of its sources.

    For use in `with`. Raises ServiceError where the temporary file cannot be written.
    """

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.executescript(_TABLES)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._database.close()
        if isinstance(error, sqlite3.Error):
            why = f"{error}; make room, or name another folder with TMPDIR"
            raise ServiceError(what="The temporary file of a split", why=why) from None

    def add_copies(self, rows: Iterable[Sequence[Any]]) -> None:
        """Clips, their source, the original of copies that they are one of, their side or None."""
        self._database.executemany("INSERT OR IGNORE INTO copies VALUES (?, ?, ?, ?)", rows)

    def add_files(self, rows: Iterable[tuple[str, int]]) -> None:
        """The paths of files that are sources of several datasets, and the sources, by path."""
        numbered = enumerate(groupby(rows, key=lambda row: row[0]))
        values = ((number, row[1]) for number, (_, group) in numbered for row in group)
        self._database.executemany("INSERT INTO files VALUES (?, ?)", values)

    def add_sources(self) -> None:
        """Make a set of each source that was named."""
        self._database.execute(
            "INSERT INTO nodes SELECT video * 2, video * 2, NULL, video FROM"
            " (SELECT video FROM copies UNION SELECT video FROM files)"
        )

    def sources(self, without_side: bool = False) -> Iterator[list[int]]:
        """The lowest ids of the sources of the sets, a few at a time; of those with no side."""
        where = "AND side IS NULL AND oldest IS NOT NULL" if without_side else ""
        after = -1
        query = (
            "SELECT node, oldest FROM nodes WHERE above = node AND node > ?"  # noqa: S608  ours
            f" {where} ORDER BY node LIMIT {AT_ONCE}"
        )
        while rows := self._database.execute(query, (after,)).fetchall():
            yield [oldest for _, oldest in rows]
            after = rows[-1][0]

    def give_sides(self, sides: Iterable[tuple[int, str]]) -> None:
        """Give the sets of these sources their side."""
        for video, side in sides:
            top = self._top(source_node(video))
            self._database.execute("UPDATE nodes SET side = ? WHERE node = ?", (side, top))

    def join_files(self) -> bool:
        """Join the sources of each file. False when some of one file are on two sides."""
        rows = self._database.execute("SELECT number, video FROM files ORDER BY number, video")
        groups = groupby(rows, key=lambda row: row[0])
        return all(self._join([source_node(video) for _, video in group]) for _, group in groups)

    def join_copies(self) -> None:
        """Join each clip's source with its copies; what has a side first: later clips follow it.

        Clips without a side that would join two sides are left out.
        """
        rows = self._database.execute(
            "SELECT clip, video, side, original FROM copies"
            " ORDER BY side IS NULL, video, clip, original"
        )
        for (clip, video, side), group in groupby(rows, key=lambda row: row[:3]):
            nodes = [source_node(video), *(copies_node(original) for *_, original in group)]
            if not self._join(nodes) and side is None:
                self._database.execute("INSERT INTO left_out VALUES (?)", (clip,))

    def side_of_source(self, video: int) -> str | None:
        """The side of a source's set; None for a source that no copy joins with others."""
        node, query = source_node(video), "SELECT side FROM nodes WHERE node = ?"
        if self._database.execute(query, (node,)).fetchone() is None:
            return None
        side: str | None = self._database.execute(query, (self._top(node),)).fetchone()[0]
        return side

    def is_left_out(self, clip: int) -> bool:
        """Whether a clip would join two sides."""
        query = "SELECT 1 FROM left_out WHERE clip = ?"
        return self._database.execute(query, (clip,)).fetchone() is not None

    def count_left_out(self) -> int:
        """How many clips would join two sides."""
        return int(self._database.execute("SELECT count(*) FROM left_out").fetchone()[0])

    def _join(self, nodes: Iterable[int]) -> bool:
        """Join the sets of nodes, unless they are on two sides: then False."""
        tops = list(dict.fromkeys(map(self._top, nodes)))
        query = "SELECT side, oldest FROM nodes WHERE node = ?"
        found = [self._database.execute(query, (top,)).fetchone() for top in tops]
        sides = {side for side, _ in found if side is not None}
        if len(sides) > 1:
            return False
        if len(tops) > 1:
            first, *others = tops
            above = "UPDATE nodes SET above = ? WHERE node = ?"
            self._database.executemany(above, ((first, top) for top in others))
            oldest = min(oldest for _, oldest in found if oldest is not None)
            self._database.execute(
                "UPDATE nodes SET side = ?, oldest = ? WHERE node = ?",
                (next(iter(sides), None), oldest, first),
            )
        return True

    def _top(self, node: int) -> int:
        """The node on top of a node's set; a node that is new is a set of its own."""
        query, halve = "SELECT above FROM nodes WHERE node = ?", "UPDATE nodes SET above = ? "
        found = self._database.execute(query, (node,)).fetchone()
        if found is None:
            self._database.execute("INSERT INTO nodes VALUES (?, ?, NULL, NULL)", (node, node))
            return node
        while found[0] != node:
            (further,) = self._database.execute(query, (found[0],)).fetchone()
            if further != found[0]:
                self._database.execute(f"{halve} WHERE node = ?", (further, node))
            node = further
            found = self._database.execute(query, (node,)).fetchone()
        return node
