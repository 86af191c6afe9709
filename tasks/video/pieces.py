"""Divides a scene into the pieces that become clips, by the exact times of its frames."""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, NamedTuple

PANDA_TAIL = 2  # seconds by which the last piece may be longer, in the rule of Panda-70M

_Bounds = tuple[int, int]  # positions of the first frame and of the first frame after it


class Piece(NamedTuple):
    """Frames of a scene that follow one another, by their positions in its list of times."""

    first: int
    after: int  # the first frame behind it
    end: int  # pts; before that of the frame `after` where the last frame is cut off


@dataclass(frozen=True)
class Lengths:
    """How long clips may be, in seconds. None: no limit."""

    shortest: float = 2.0
    longest: float | None = 20.0
    long_scenes: Literal["split", "truncate"] = "split"
    # the maximum length of the Panda-70M rule, applied before the others
    panda: float | None = None


def pieces(times: Sequence[int], time_base: Fraction, lengths: Lengths) -> list[Piece]:
    """The pieces of one scene, in order, including those that are too short for a clip.

    `times` are the pts of the scene's frames and, last, of its end. A frame that alone is longer
    than a piece may be ends its piece and is cut off, and what follows is divided by itself.

    split: n = ceil(length / longest) pieces of equal length, cut at the frame nearest to each
    boundary; where these would be shorter than `shortest`, fewer and longer ones, each cut off at
    `longest`. truncate: one piece, cut off at `longest`, as the seed does.
    """
    limits = [] if lengths.longest is None else [lengths.longest]
    limits += [] if lengths.panda is None else [lengths.panda + PANDA_TAIL]
    limit = ticks(min(limits), time_base) if limits else math.inf
    if times[-1] - times[0] <= limit:
        return [Piece(0, len(times) - 1, times[-1])]
    return [
        Piece(first + begin, first + after, stretch[after])
        for first, stretch in _stretches(times, max(1, int(limit)), time_base, lengths)
        for begin, after in _divided(stretch, time_base, lengths)
    ]


def _stretches(
    times: Sequence[int], limit: int, time_base: Fraction, lengths: Lengths
) -> Iterator[tuple[int, Sequence[int]]]:
    """The parts of a scene between frames that are longer than `limit`, as long as a piece may be.

    Each with the position of its first frame, and the times of its frames and of its end. Such a
    frame is the last of its part. There it is as long as the frame before it, or longer where the
    part would otherwise be too short for a clip; alone, it is as long as a piece may be.
    """
    shortest = math.ceil(ticks(lengths.shortest, time_base))
    first = 0
    for last, (shown, hidden) in enumerate(itertools.pairwise(times)):
        if hidden - shown <= limit:
            continue
        end = shown + limit
        if last > first:
            as_before = max(1, shown - times[last - 1])
            end = min(end, max(shown + as_before, times[first] + shortest))
        yield first, [*times[first : last + 1], end]
        first = last + 1
    if first < len(times) - 1:
        yield first, times[first:]


def _divided(times: Sequence[int], time_base: Fraction, lengths: Lengths) -> list[_Bounds]:
    """A stretch in pieces, none longer than it may be."""
    wholes = [(0, len(times) - 1)]
    if lengths.panda is not None:
        # as Panda-70M: pieces of `panda` while more than panda + tail remains, then the remainder
        length = ticks(lengths.panda, time_base)
        limit = length + ticks(PANDA_TAIL, time_base)
        bounds = [0]
        while times[-1] - times[bounds[-1]] > limit:
            bounds.append(_last_within(times, bounds[-1], length))
        wholes = list(itertools.pairwise([*bounds, len(times) - 1]))
    if lengths.longest is None:
        return wholes
    limit = ticks(lengths.longest, time_base)
    least = Fraction(times[-1] - times[0])  # truncate
    if lengths.long_scenes == "split":
        least = ticks(lengths.shortest, time_base)
    return [piece for whole in wholes for piece in _limited(times, whole, limit, least)]


def ticks(seconds: float, time_base: Fraction) -> Fraction:
    """Seconds in units of the time base, exactly for the decimal number that the option says."""
    return Fraction(seconds).limit_denominator(1_000_000) / time_base


def _last_within(times: Sequence[int], start: int, length: Fraction) -> int:
    """The last frame at most `length` after frame `start`, or the next frame if that is later."""
    return max(start + 1, bisect_right(times, times[start] + length) - 1)


def _limited(
    times: Sequence[int], piece: _Bounds, limit: Fraction, least: Fraction
) -> list[_Bounds]:
    """A piece cut into equal ones of at most `limit`, and at least `least` where possible."""
    length = times[piece[1]] - times[piece[0]]
    if length <= limit:
        return [piece]
    count = math.ceil(length / limit)
    position, fewest = piece[0], 0  # the fewest pieces of whole frames within the limit
    while position < piece[1]:
        position, fewest = _last_within(times, position, limit), fewest + 1
    # where whole frames do not fill the limit, one piece more is needed
    for n in (count, count + 1, fewest, fewest + 1):
        equal = _equal(times, piece, n)
        if all(least <= times[b] - times[a] <= limit for a, b in equal):
            return equal
    fewer = max(1, int(length // least)) if least else count
    return [
        (first, min(after, _last_within(times, first, limit)))
        for first, after in _equal(times, piece, fewer)
    ]


def _equal(times: Sequence[int], piece: _Bounds, n: int) -> list[_Bounds]:
    """A piece cut into n, each bound at the frame nearest to it, with a frame in every piece."""
    first, last = piece
    bounds = [first]
    for k in range(1, n):
        exact = times[first] + Fraction(k * (times[last] - times[first]), n)
        after = bisect_left(times, exact, first, last)
        before_is_nearer = after > first and exact - times[after - 1] <= times[after] - exact
        nearest = after - 1 if before_is_nearer else after
        bounds.append(min(max(nearest, bounds[-1] + 1), last))
    return list(itertools.pairwise(sorted({*bounds, last})))
