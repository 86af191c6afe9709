"""Frames taken from a scene while it is still open: what is kept, for how long, and in which form."""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter

from curate.tasks.video.flow import still
from curate.tasks.video.geometry import RGB, Geometry
from curate.tasks.video.samples import LONGER, SHORTER, Pair, Still, encode

HELD = 16  # frames held in memory for an open scene
HELD_EVERY = 0.25  # seconds between them at first; doubled whenever there are too many
_HELD_BYTES = 8 << 20  # a larger frame is held at a long side of _HELD_SIDE
_HELD_SIDE = 1920
_MEMORY = 16 << 20  # bytes of JPEGs of the open scene before they go to a temporary file

Key = tuple[int, int]


@dataclass
class Shot:
    """A frame of the open scene: held as it was decoded, or as JPEGs in the `Darkroom`, or both."""

    index: int
    pts: int
    frame: VideoFrame | None = None
    small: Key | None = None
    large: Key | None = None
    still: Still | None = None


class Darkroom:
    """Makes pictures of shots and keeps their JPEGs until the scene ends. Its memory is bounded."""

    def __init__(self, shape: Geometry) -> None:
        self._shape = shape
        self._small = shape.fit(shorter=SHORTER)
        self._large = shape.fit(longer=LONGER)
        self._scalers = {
            "small": VideoReformatter(),
            "large": VideoReformatter(),
            "held": VideoReformatter(),
        }
        self._jpegs = tempfile.SpooledTemporaryFile(max_size=_MEMORY)  # noqa: SIM115  closed by close

    def hold(self, frame: VideoFrame) -> VideoFrame:
        """The frame, or a smaller one where many of its size would take too much memory."""
        if sum(plane.buffer_size for plane in frame.planes) <= _HELD_BYTES:
            return frame
        scale = min(1.0, _HELD_SIDE / max(frame.width, frame.height))
        width, height = (
            max(2, round(side * scale / 2) * 2) for side in (frame.width, frame.height)
        )
        held = self._scalers["held"].reformat(
            frame, width, height, "yuv420p", interpolation=Interpolation.BILINEAR, threads=1
        )
        held.pts = frame.pts
        return held

    def develop(self, shot: Shot) -> Shot:
        """Give the shot its small picture and measures, unless it has them."""
        if shot.small is None and shot.frame is not None:
            picture = self._picture(shot.frame, self._small, "small")
            shot.small = self._keep(encode(picture))
            shot.still = still(picture, 0.0)
        return shot

    def enlarge(self, shot: Shot) -> Shot:
        """Give the shot its large picture, unless it has one."""
        if shot.large is None and shot.frame is not None:
            shot.large = self._keep(encode(self._picture(shot.frame, self._large, "large")))
        return shot

    def _picture(self, frame: VideoFrame, size: tuple[int, int], scaler: str) -> RGB:
        made = self._scalers[scaler].reformat(
            frame, *size, format="rgb24", interpolation=Interpolation.BILINEAR, threads=1
        )
        return self._shape.upright(made.to_ndarray())

    def _keep(self, jpeg: bytes) -> Key:
        offset = self._jpegs.seek(0, 2)
        self._jpegs.write(jpeg)
        return offset, len(jpeg)

    def jpeg(self, key: Key) -> bytes:
        """A picture made by develop or enlarge."""
        self._jpegs.seek(key[0])
        return self._jpegs.read(key[1])

    def close(self) -> None:
        """Forget all pictures."""
        self._jpegs.close()


@dataclass
class Cadence:
    """How often an open scene is sampled. Seconds."""

    regular: float = 1.0
    limit: float = float(
        "inf"
    )  # held frames never get further apart: a long scene gives several clips


@dataclass
class Roll:
    """What is known of the open scene, which began with the frame `start`. Times are in seconds of
    the video.
    """

    start: int
    cadence: Cadence
    times: array[int] = field(default_factory=lambda: array("q"))  # pts of every frame
    regular: list[Shot] = field(default_factory=list)
    held: list[Shot] = field(default_factory=list)  # with frame, or developed and enlarged
    pairs: list[tuple[int, Pair]] = field(default_factory=list)  # with the index of the later frame
    _every: float = HELD_EVERY
    _next_regular: float = 0.0
    _next_held: float = 0.0

    def __post_init__(self) -> None:
        self._every = min(HELD_EVERY, self.cadence.limit)

    def begin(self, first: Shot, seconds: float) -> None:
        """Take the scene's first frame: sampled and held, so that no scene is without either."""
        self.regular = [replace(first, frame=None)]
        self.held = [first, *(s for s in self.held if s.index > first.index)]
        self._next_regular = seconds + self.cadence.regular
        self._next_held = seconds + self._every

    def take(self, shot: Shot, seconds: float, room: Darkroom) -> None:
        """Note the next frame, and keep it when its time has come."""
        self.times.append(shot.pts)
        if seconds >= self._next_regular:
            self.regular.append(replace(room.develop(shot), frame=None))
            self._next_regular = _next(self._next_regular, seconds, self.cadence.regular)
        if seconds >= self._next_held and shot.frame is not None:
            self.held.append(replace(shot, frame=room.hold(shot.frame)))
            self._next_held = _next(self._next_held, seconds, self._every)
            self._make_room(room)

    def _make_room(self, room: Darkroom) -> None:
        waiting = [shot for shot in self.held if shot.frame is not None]
        if len(waiting) <= HELD:
            return
        if self._every * 2 <= self.cadence.limit:
            self._every *= 2
            self.held = self.held[::2]
        else:
            room.enlarge(room.develop(waiting[0])).frame = None

    def cut(self, index: int) -> Roll:
        """Take frame `index` and everything behind it out of this scene: the next one, yet to
        `begin`.
        """
        place = index - self.start
        after = Roll(index, self.cadence, self.times[place:])
        after.held = [s for s in self.held if s.index >= index]
        after.pairs = [p for p in self.pairs if p[0] > index]
        self.times = self.times[:place]
        self.regular = _before(self.regular, index)
        self.held = _before(self.held, index)
        self.pairs = [p for p in self.pairs if p[0] < index]
        return after

    def within(self, first: int, after: int) -> tuple[list[Shot], list[Shot]]:
        """Regular and held shots of the frames first to after - 1, numbers within the scene.

        Where none of a kind is among them (a piece of a long scene right before a gap in time), the
        nearest one of the scene.
        """
        start, end, pts = first + self.start, after + self.start, self.times[first]
        regular = [s for s in self.regular if start <= s.index < end]
        held = [s for s in self.held if start <= s.index < end] or [nearest(self.held, pts)]
        return regular, held


def _next(planned: float, now: float, step: float) -> float:
    """The first point of the grid planned + k * step that lies behind now."""
    return planned + (int((now - planned) / step) + 1) * step


def _before(shots: Iterable[Shot], index: int) -> list[Shot]:
    return [shot for shot in shots if shot.index < index]


def nearest(shots: Sequence[Shot], pts: float) -> Shot:
    """The shot shown nearest to pts; the earlier of two."""
    return min(shots, key=lambda shot: abs(shot.pts - pts))
