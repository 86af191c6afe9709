"""A span of a video: its position, the shape of its frames, and a choice of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

Access = Literal["seek", "walk", "decode"]
"""How the first frame of a span is reached: by a seek to its time stamp; where the clock of the
source jumps, by reading all packets before it; or by decoding all frames before it.
"""


def access_of(time_jumps: int | None, seekable: int | None) -> Access:
    """How spans of a source are reached, by these columns of `videos`."""
    if seekable == 0:
        return "decode"
    return "walk" if time_jumps else "seek"


@dataclass(frozen=True)
class Span:
    """The position of a clip in its source: the frames with ``start <= pts < end``.

    Both are in units of `time_base` seconds. `frames` is the number of frames; None: not counted.
    """

    start: int
    end: int
    time_base: Fraction
    frames: int | None = None
    access: Access = "seek"

    @property
    def seconds(self) -> Fraction:
        """The length of the span."""
        return (self.end - self.start) * self.time_base


@dataclass(frozen=True)
class SpanShape:
    """What the choice of frames may depend on: their number, rate and size."""

    num_frames: int  # at least 1
    fps: float | None  # average over the span; None for a still image
    width: int  # as displayed
    height: int
    stamps: Sequence[int] = ()  # pts of each frame; empty: not known without decoding


@dataclass(frozen=True)
class Pick:
    """Which frames of a span to decode, and how large.

    `indices` are sorted and from 0 to SpanShape.num_frames - 1; one may come twice. Frames are
    scaled (bicubic) to `size`, (width, height) as displayed; None: not scaled. `seconds`, if given,
    are when they are shown, and go with the pictures (`timed_pictures`).
    """

    indices: Sequence[int]
    size: tuple[int, int] | None = None
    seconds: Sequence[float] = ()
