"""The surviving clips of a dataset, searched by all hashes that they have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from curate.tasks.video.hamming import HashTable, grown
from curate.tasks.video.hash_pair import pair_of
from curate.tasks.video.view_table import ViewTable
from curate.tasks.video.views import NO_FRAMES, decode_views


class Survivors:
    """Clips that are no duplicates, in the order of adding.

    A row or clip has hash_first and hash_middle, and with `views` = ``all`` also hash_views. A clip
    that is searched for also has the hashes of its mirror image, unless `views` is ``none``.
    """

    def __init__(self, frames: str, views: str) -> None:
        self._mirror = views != "none"
        self._ids = np.zeros(1024, np.int64)
        self._pairs = HashTable(frames)
        self._views = ViewTable() if views == "all" else None

    def __len__(self) -> int:
        return len(self._pairs)

    def extend(self, ids: Sequence[int], rows: Sequence[Any]) -> None:
        """Append clips."""
        first = len(self)
        self._pairs.extend([pair_of(row) for row in rows])
        if self._views is not None:
            takes = [decode_views(row["hash_views"]) for row in rows]
            self._views.extend([np.concatenate([NO_FRAMES, *clip]) for clip in takes])
        self._ids = grown(self._ids, len(self))
        self._ids[first : len(self)] = ids

    def truncate(self, length: int) -> None:
        """Forget all clips after the first `length`."""
        self._pairs.truncate(length)
        if self._views is not None:
            self._views.truncate(length)

    def earliest_within(self, row: Any, threshold: int) -> tuple[int, int] | None:
        """Id and distance (0 to 64 bits) of the earliest clip within `threshold`, or None."""
        found = [self._pairs.earliest_within(pair_of(row), threshold)]
        if self._mirror:
            found.append(self._pairs.earliest_within(pair_of(row, mirrored=True), threshold))
        if self._views is not None:
            takes = decode_views(row["hash_views"])
            found += [self._views.earliest_within(take, threshold) for take in takes]
        place, distance = min((match for match in found if match), default=(-1, 0))
        return None if place < 0 else (int(self._ids[place]), distance)
