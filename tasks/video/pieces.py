"""Which spans of a scene become clips, by the exact times of its frames."""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

# positions of the first frame and of the first frame after it, in the list of times
Piece = tuple[int, int]

PANDA_TAIL = 2  # seconds by which a piece may be longer, in the rule of Panda-70M


@dataclass(frozen=True)
class Lengths:
    """How long clips may be. Seconds; None: no limit."""

    shortest: float = 2.0
    longest: float | None = 20.0
    long_scenes: Literal["split", "truncate"] = "split"
    panda: float | None = (
        None  # the maximum length of the Panda-70M rule, applied before the others
    )


def pieces(times: Sequence[int], time_base: Fraction, lengths: Lengths) -> list[Piece]:
    """The clips of one scene, in order, short ones included (`long_enough` tells them).

    `times` are the pts of the scene's frames and, last, of its end.

    split: n = ceil(length / longest) clips of equal length, cut at the frame nearest to each
    boundary; where these would be shorter than `shortest`, fewer and longer ones, each cut off at
    `longest`. truncate: one clip, cut off at `longest`, as the seed does.
    """
    if lengths.panda is not None:
        spans = _panda(times, _ticks(lengths.panda, time_base), _ticks(PANDA_TAIL, time_base))
    else:
        spans = [(0, len(times) - 1)]
    if lengths.longest is None:
        return spans
    limit = _ticks(lengths.longest, time_base)
    least = (
        _ticks(lengths.shortest, time_base)
        if lengths.long_scenes == "split"
        else Fraction(times[-1] - times[0])
    )
    return [piece for span in spans for piece in _limited(times, span, limit, least)]


def long_enough(times: Sequence[int], span: Piece, time_base: Fraction, lengths: Lengths) -> bool:
    """Whether a span has at least the shortest length."""
    return times[span[1]] - times[span[0]] >= _ticks(lengths.shortest, time_base)


def _ticks(seconds: float, time_base: Fraction) -> Fraction:
    return Fraction(seconds).limit_denominator(1_000_000) / time_base


def _panda(times: Sequence[int], length: Fraction, tail: Fraction) -> list[Piece]:
    """While more than length + tail is left, a piece of `length`, as Panda-70M cuts; then the rest."""
    bounds = [0]
    while times[-1] - times[bounds[-1]] > length + tail:
        bounds.append(_last_within(times, bounds[-1], length))
    return _spans([*bounds, len(times) - 1])


def _last_within(times: Sequence[int], start: int, length: Fraction) -> int:
    """The last frame no more than length after frame start; the next frame where there is a gap."""
    return max(start + 1, bisect_right(times, times[start] + length) - 1)


def _spans(bounds: Sequence[int]) -> list[Piece]:
    return list(itertools.pairwise(bounds))


def _limited(times: Sequence[int], span: Piece, limit: Fraction, least: Fraction) -> list[Piece]:
    length = times[span[1]] - times[span[0]]
    if length <= limit:
        return [span]
    count = math.ceil(length / limit)
    fewest = _fewest(times, span, limit)
    for n in (
        count,
        count + 1,
        fewest,
        fewest + 1,
    ):  # whole frames may not fill the limit: then one more
        equal = _spans(_equal(times, span, n))
        if all(least <= times[b] - times[a] <= limit for a, b in equal):
            return equal
    fewer = max(1, int(length // least)) if least else count
    return [_cut_off(times, s, limit) for s in _spans(_equal(times, span, fewer))]


def _equal(times: Sequence[int], span: Piece, n: int) -> list[int]:
    """Bounds of n pieces, each at the frame nearest to where it should be, at least a frame apart."""
    first, last = span
    bounds = [first]
    for k in range(1, n):
        wanted = times[first] + Fraction(k * (times[last] - times[first]), n)
        after = bisect_left(times, wanted, first, last)
        nearest = (
            after - 1
            if after > first and wanted - times[after - 1] <= times[after] - wanted
            else after
        )
        bounds.append(min(max(nearest, bounds[-1] + 1), last))
    return sorted({*bounds, last})


def _fewest(times: Sequence[int], span: Piece, limit: Fraction) -> int:
    """How many pieces of whole frames within the limit it takes at least."""
    place, found = span[0], 0
    while place < span[1]:
        place, found = _last_within(times, place, limit), found + 1
    return found


def _cut_off(times: Sequence[int], span: Piece, limit: Fraction) -> Piece:
    return span[0], min(span[1], _last_within(times, span[0], limit))
