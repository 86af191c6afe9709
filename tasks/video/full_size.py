"""Looks at frames in full size, while they are decoded: combs and blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from typing import cast

from av.filter import Graph
from av.video.frame import VideoFrame

from curate.tasks.video.graphs import chain
from curate.tasks.video.measures import FrameLook

Seconds = Callable[[int, int], float]  # from a time stamp since another one
EVERY = 1.0  # seconds from a look to the next
_WIDE, _HIGH = 1280, 512  # pixels in the middle of a frame that are looked at
_LEAST = 32  # pixels of a side; there are no blocks in less


class FullSize:
    """Looks at one frame a second; `looks` are those so far, each with the frame's time stamp."""

    def __init__(self) -> None:
        self.looks: list[tuple[int, FrameLook]] = []

    def seen(self, frames: Iterable[VideoFrame]) -> Iterator[VideoFrame]:
        """The frames as they are. Combs show in three that follow each other."""
        due: Fraction | None = None
        three: list[VideoFrame] = []
        for frame in frames:
            time = cast(int, frame.pts) * Fraction(frame.time_base or 1)
            if three or due is None or time >= due or time < due - 2:
                if three and _form(three[0]) != _form(frame):
                    three.clear()
                three.append(frame)
                due = due if len(three) > 1 else time + Fraction(EVERY)
            if len(three) == 3:
                self._look(three)
                three.clear()
            yield frame

    def between(
        self, start: int, end: int, seconds: Callable[[int, int], float]
    ) -> list[FrameLook]:
        """The looks of the span [start, end) of time stamps, by their `seconds` from its start."""
        return [
            replace(look, seconds=seconds(pts, start))
            for pts, look in self.looks
            if start <= pts < end
        ]

    def _look(self, three: list[VideoFrame]) -> None:
        """Look at the middle one of three frames."""
        first = three[0]
        if min(first.width, first.height) < _LEAST:
            return
        sides = zip((first.width, first.height), (_WIDE, _HIGH), strict=True)
        # on the grid of the coder
        spans = [
            (min(side, most) // 16 * 16, max(0, side - most) // 32 * 16) for side, most in sides
        ]
        (width, x), (height, y) = spans
        crop = f"crop={width}:{height}:{x}:{y}:exact=1"
        told = _told(chain(first, [crop, "idet"]), three)
        blocks = _told(chain(first, [crop, "blockdetect"]), three[1:2])
        combed = told[1].get("lavfi.idet.single.current_frame") in ("tff", "bff")
        found = float(blocks[0].get("lavfi.block", "nan"))
        ratio = round(found, 6) if found < 1e6 else None  # no ratio where squares are all flat
        self.looks.append((cast(int, three[1].pts), FrameLook(0.0, combed, ratio)))


def _told(graph: Graph, frames: list[VideoFrame]) -> list[dict[str, str]]:
    """What a graph says of each of the frames."""
    told = []
    for frame in [*frames, None]:
        graph.vpush(frame)
        while True:
            try:
                told.append(dict(graph.vpull().metadata))
            except (BlockingIOError, EOFError):
                break
    return told


def _form(frame: VideoFrame) -> tuple[int, int, str]:
    return frame.width, frame.height, frame.format.name
