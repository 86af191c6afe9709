"""A searchable table of clips by the views of their frames; see `curate.tasks.video.views`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.tasks.video.band_index import BandIndex
from curate.tasks.video.hamming import WIDEST, Rows, Words, grown, popcount
from curate.tasks.video.views import MIRROR

KEYS = 4  # frames of a clip that are looked for, evenly spread
SHARE = 0.7  # of them that must be found
_NO_HASH = 64  # bits of distance to a flat view
_STORED = (0, 1, 4, 5)  # the views that a table keeps of each frame
_FLIPS = np.array([0, MIRROR], np.uint64)


@dataclass(frozen=True)
class Relation:
    """Two views of a clip's frame, and the two of an earlier clip's that show the same."""

    ours: tuple[int, int]
    theirs: tuple[int, int]


RELATIONS = (
    Relation((0, 4), (0, 4)),  # the same picture
    Relation((4, 5), (4, 5)),  # with marks near its borders
    *(Relation((4 - step, 5 - step), (4, 5)) for step in (1, 2, 3)),  # ours is a crop of theirs
    *(Relation((step, step + 1), (0, 1)) for step in (1, 2, 3)),  # theirs is a crop of ours
)
_OURS = np.array([relation.ours for relation in RELATIONS])
_THEIRS = np.array([[_STORED.index(view) for view in r.theirs] for r in RELATIONS])
_ANCHORS = sorted({int(column) for column in _THEIRS[:, 0]})  # columns that are indexed


class ViewTable:
    """The views of surviving clips, in the order of adding.

    Two frames are as far from each other as the worse of two views that should be equal, in the
    best of RELATIONS, one of both mirrored or none. A clip lies within a distance of an earlier one
    when SHARE of its KEYS frames lie within it of any of the earlier clip's frames, all in one
    relation: it may be a part of the earlier clip, but not the other way round.

    A table of more than `index_from` frames has two indexes, which take 24 bytes a frame; the views
    take 36.
    """

    def __init__(self, index_from: int = 10_000) -> None:
        self._index_from = index_from
        self._length = 0  # clips
        self._ends = np.zeros(1024, np.int64)  # of each clip's frames
        self._words = np.zeros((1024, len(_STORED)), np.uint64)
        self._clips = np.zeros(1024, np.uint32)  # the clip of each frame
        self._indexes: dict[int, BandIndex] = {}  # by column; of the frames before _indexed
        self._indexed = 0

    def __len__(self) -> int:
        return self._length

    @property
    def _frames(self) -> int:
        return int(self._ends[self._length - 1]) if self._length else 0

    def extend(self, clips: Sequence[Words]) -> None:
        """Append clips: the views of each one's frames, frames x VIEWS."""
        first, length = self._frames, self._length + len(clips)
        ends = first + np.cumsum([len(frames) for frames in clips])
        self._ends = grown(self._ends, length)
        self._ends[self._length : length] = ends
        self._words = grown(self._words, int(ends[-1]) if len(ends) else 0)
        self._clips = grown(self._clips, len(self._words))
        for clip, (end, frames) in enumerate(zip(ends, clips, strict=True), self._length):
            self._words[end - len(frames) : end] = frames[:, _STORED]
            self._clips[end - len(frames) : end] = clip
        self._length = length

    def truncate(self, length: int) -> None:
        """Forget all clips after the first `length`."""
        self._length = min(length, self._length)
        if self._indexed > self._frames:
            self._indexes, self._indexed = {}, 0

    def earliest_within(self, frames: Words, threshold: int) -> tuple[int, int] | None:
        """Place and distance (0 to 64 bits) of the earliest clip within `threshold`, or None."""
        if not len(frames):
            return None
        count = min(KEYS, len(frames))
        keys = frames[(np.arange(count) * 2 + 1) * len(frames) // (2 * count)]
        needed = -int(-SHARE * count // 1)
        # of all but needed - 1 keys, one is found
        for clip in self._near(keys[: count - needed + 1], threshold):
            first = int(self._ends[clip - 1]) if clip else 0
            theirs = self._words[first : int(self._ends[clip])]
            nearest = _distances_of(keys[:, _OURS], theirs[:, _THEIRS]).min(axis=2)
            # within it lie `needed` of the keys
            distance = int(np.sort(nearest, axis=1)[:, needed - 1].min())
            if distance <= threshold:
                return clip, distance
        return None

    def _near(self, keys: Words, threshold: int) -> list[int]:
        """The clips that have a frame within `threshold` of one of the keys, in order."""
        if threshold <= WIDEST:
            self._update_indexes()
        near = []
        for column in _ANCHORS:
            relations = np.flatnonzero(_THEIRS[:, 0] == column)
            # of each key, in each of these relations, mirrored or not: our two views
            ours = keys[:, _OURS[relations]]
            theirs = np.broadcast_to(_THEIRS[relations], ours.shape)[ours.all(axis=2)]
            ours = ours[ours.all(axis=2)]
            for flip in _FLIPS:
                places, rows = self._candidates(column, ours[:, 0] ^ flip, threshold)
                for view in range(2):
                    words, columns = ours[places, view] ^ flip, theirs[places, view]
                    within = _distances(words, self._words[rows, columns]) <= threshold
                    places, rows = places[within], rows[within]
                near.append(self._clips[rows])
        clips: list[int] = np.unique(np.concatenate(near)).tolist()
        return clips

    def _update_indexes(self) -> None:
        """Index all frames, unless those added since are few: these are compared one by one."""
        frames = self._frames
        if frames < self._index_from or frames - self._indexed <= max(1024, frames // 100):
            return
        for column in _ANCHORS:
            words = self._words[:frames, column]
            again = (words[1:] == words[:-1]) & (self._clips[1:frames] == self._clips[: frames - 1])
            rows = np.flatnonzero((words != 0) & ~np.concatenate([[False], again]))
            self._indexes[column] = BandIndex(words[rows], rows)
        self._indexed = frames

    def _candidates(self, column: int, words: Words, threshold: int) -> tuple[Rows, Rows]:
        """Places of words, and frames that a column may have within `threshold` of them."""
        first = self._indexed if threshold <= WIDEST else 0
        rest = np.arange(first, self._frames)  # compared one by one
        places, rows = np.repeat(np.arange(len(words)), len(rest)), np.tile(rest, len(words))
        if not first:
            return places, rows
        indexed = self._indexes[column].near(words, threshold)
        return np.concatenate([indexed[0], places]), np.concatenate([indexed[1], rows])


def frame_distances(frames: Words, others: Words) -> NDArray[np.uint8]:
    """The distances of frames (n x VIEWS) to others (m x VIEWS), mirrored or not, by relation.

    2 x n x m x relations, in bits; 64 where a view is flat.
    """
    theirs = np.array([relation.theirs for relation in RELATIONS])
    return _distances_of(frames[:, _OURS], others[:, theirs])


def _distances_of(ours: Words, theirs: Words) -> NDArray[np.uint8]:
    flat = (ours == 0)[:, None]
    return np.stack([
        _distances(ours[:, None] ^ flip, theirs, flat).max(axis=3) for flip in _FLIPS
    ])  # fmt: skip


def _distances(word: Any, words: Words, flat: Any = False) -> NDArray[np.uint8]:
    """Bits that differ; _NO_HASH where a view is flat."""
    return np.where(flat | (words == 0), np.uint8(_NO_HASH), popcount(word ^ words))
