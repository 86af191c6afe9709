"""Windows: parts of a clip that are captioned by themselves. Which frames each of them holds."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from curate.configs.row_errors import TooManyWindows
from curate.tasks.video.span import Span, SpanShape


class Windows(BaseModel):
    """How a clip is divided. `stride` and `min` are in the unit that the size is given in.

    What is left behind the last window becomes one of its own if it is at least `min` long, and
    else belongs to the window before it. A clip of one window is captioned as a whole.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, defer_build=True)

    frames: int | None = Field(None, ge=2, le=1 << 20)
    seconds: float | None = Field(None, ge=0.1, le=86400)
    stride: float | None = None  # None: windows do not overlap
    min: float | None = Field(None, ge=0)  # None: half a window
    summary: Literal["joined", "best", "none"] = "joined"

    @property
    def size(self) -> float:
        """The length of a window, in frames or seconds."""
        return self.frames or self.seconds or 0.0

    @model_validator(mode="after")
    def _check(self) -> Windows:
        if (self.frames is None) == (self.seconds is None):
            raise ValueError("give either frames or seconds")
        if self.stride is not None and not self.size / 64 <= self.stride <= self.size:
            raise ValueError("stride must be a window at most, and a 64th of it at least")
        if self.frames and not float(self.stride or 0).is_integer():
            raise ValueError("stride must be a whole number of frames")
        if self.min is not None and self.min > self.size:
            raise ValueError("min must be a window at most")
        return self


MOST = 512  # windows of a clip, whose frames are in memory at once


@dataclass(frozen=True)
class Window:
    """The frames `first` to `end` - 1 of a clip: those with ``start_pts <= pts < end_pts``.

    Time stamps are as in Clip.
    """

    first: int
    end: int
    start_pts: int
    end_pts: int

    def shape(self, of: SpanShape, time_base: Fraction) -> SpanShape:
        """The shape that a decode of the window alone would find, within a clip of shape `of`."""
        count, seconds = self.end - self.first, float((self.end_pts - self.start_pts) * time_base)
        return SpanShape(count, count / seconds if seconds > 0 else None, of.width, of.height)


def windows_in(
    path: str, span: Span, shape: SpanShape, wanted: Windows | None
) -> list[Window | None]:
    """The windows of a clip in order; [None], which stands for the clip, when there is only one.

    Where the packets of the source do not tell the frames' time stamps, frames are taken as evenly
    spread. Raises TooManyWindows, naming the source `path`.
    """
    count, stamps = shape.num_frames, shape.stamps
    if wanted is None or count < 2:
        return [None]
    if not stamps:
        length = span.end - span.start
        stamps = [span.start + number * length // count for number in range(count)]
    found: list[Window | None] = []
    for first, end in _bounds(path, wanted, stamps, span):
        if first < end:  # none, where the source shows one frame for longer than a window
            end_pts = stamps[end] if end < count else span.end
            found.append(Window(first, end, stamps[first], end_pts))
    return found if len(found) > 1 else [None]


def _bounds(path: str, wanted: Windows, stamps: Sequence[int], span: Span) -> list[tuple[int, int]]:
    """The first frame of each window, and the one behind its last."""
    unit = Fraction(1) if wanted.frames else 1 / span.time_base
    size = Fraction(str(wanted.size)) * unit
    stride = size if wanted.stride is None else Fraction(str(wanted.stride)) * unit
    least = size / 2 if wanted.min is None else Fraction(str(wanted.min)) * unit
    total = Fraction(len(stamps) if wanted.frames else span.end - stamps[0])
    count = max(0, math.ceil((total - size) / stride)) + 1
    if count > MOST:
        raise TooManyWindows(path=path, count=count, most=MOST)
    parts = [(Fraction(0), min(size, total))]
    while parts[-1][1] < total:
        start = parts[-1][0] + stride
        parts.append((start, min(start + size, total)))
    if len(parts) > 1 and parts[-1][1] - parts[-1][0] < least:
        parts[-2:] = [(parts[-2][0], total)]
    if wanted.frames:
        return [(int(start), int(end)) for start, end in parts]
    edges = [(stamps[0] + math.ceil(start), stamps[0] + math.ceil(end)) for start, end in parts]
    return [(bisect_left(stamps, start), bisect_left(stamps, end)) for start, end in edges]
