"""A span of a video: where it lies, what its pictures are like, which frames are picked of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class Span:
    """Where a clip lies in its source: the frames with ``start <= pts < end``.

    Both are in ticks of `time_base` seconds. `frames` is how many there are; None: not counted.
    """

    start: int
    end: int
    time_base: Fraction
    frames: int | None = None

    @property
    def seconds(self) -> Fraction:
        """How long the clip is shown."""
        return (self.end - self.start) * self.time_base


@dataclass(frozen=True)
class SpanShape:
    """What the choice of frames may depend on: how many there are, how fast and how large."""

    num_frames: int  # at least 1
    fps: float | None  # average over the span; None for a still image
    width: int  # as displayed
    height: int


@dataclass(frozen=True)
class Pick:
    """Which frames of a span to decode, and how large.

    `indices` count from 0, each below SpanShape.num_frames, never falling; one may come twice.
    `size` is (width, height) as displayed, to which frames are scaled (bicubic); None: as they are.
    """

    indices: Sequence[int]
    size: tuple[int, int] | None = None
