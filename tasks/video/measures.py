"""Measures of a clip's pictures, as split stores them in the archive of samples (JSON)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from curate.tasks.video.geometry import Geometry


@dataclass(frozen=True)
class Picture:
    """A JPEG of a clip: the time of its frame and its position in the clip's JPEGs."""

    seconds: float  # from the clip's start
    offset: int  # bytes
    size: int  # bytes


@dataclass(frozen=True)
class CameraMove:
    """How the camera moves between two frames; see `curate.tasks.video.camera_fit`.

    All rates are 0, and so is `follows`, where no motion fits the picture.
    """

    pan: float = 0.0  # widths a second that it goes to the right
    tilt: float = 0.0  # widths a second upwards
    zoom: float = 0.0  # logarithm of the factor by which things grow in a second
    roll: float = 0.0  # degrees a second clockwise
    rest: float = 0.0  # percent of the diagonal a second that is left of the flow, in the mean
    follows: float = 0.0  # share of the textured picture that moves so

    def times(self, factor: float) -> CameraMove:
        """The same motion, so many times as fast."""
        rates = (self.pan, self.tilt, self.zoom, self.roll, self.rest)
        pan, tilt, zoom, roll, rest = (round(rate * factor, 6) for rate in rates)
        return CameraMove(pan, tilt, zoom, roll, rest, self.follows)

    def as_displayed(self, shape: Geometry) -> CameraMove:
        """The motion, measured in pictures as they are stored, in those that a player shows."""
        width, height = shape.square
        stretched = shape.coded_width * height / (shape.coded_height * width)
        pan, tilt = self.pan, self.tilt * stretched
        for _ in range(shape.rotation // 90):  # clockwise: what was upwards is to the right
            pan, tilt = tilt * width / height, -pan * width / height
            width, height = height, width
        side = -1 if shape.mirrored else 1
        pan, tilt, roll = (round(rate, 6) for rate in (side * pan, tilt, side * self.roll))
        return replace(self, pan=pan, tilt=tilt, roll=roll)


@dataclass(frozen=True)
class Pair:
    """Motion between two neighbouring frames, or of one with itself while it is shown for long.

    See `curate.tasks.video.flow`.
    """

    seconds: float  # of the later frame, from the clip's start
    gap: float  # seconds between the two
    flow: float | None  # percent of the diagonal moved a second; None: the picture is too small
    change: float  # mean absolute difference of the luma, 0 to 255
    camera: CameraMove | None = None  # None: not measured
    deviation: float | None = None  # of the difference of the luma; None: by an older version

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Pair:
        """A pair of an archive."""
        pair = cls(**stored)
        return replace(pair, camera=CameraMove(**stored["camera"])) if pair.camera else pair


@dataclass(frozen=True)
class Bars:
    """Lines of bars on each side of a frame, in pixels as displayed; see `curate.tasks.video.bars`.

    None: the frame does not show where the picture begins.
    """

    left: int | None = None
    top: int | None = None
    right: int | None = None
    bottom: int | None = None
    kind: Literal["none", "black", "coloured", "blurred"] = "none"

    @property
    def sides(self) -> tuple[int | None, int | None, int | None, int | None]:
        """Left, top, right, bottom."""
        return self.left, self.top, self.right, self.bottom


@dataclass(frozen=True)
class Still:
    """Measures of one frame, small and gray; see `curate.tasks.video.flow`."""

    seconds: float  # from the clip's start
    mean: float  # luma, 0 to 255
    deviation: float  # of the luma, 0 to 127.5
    sharpness: float  # variance of the Laplacian
    bars: Bars | None = None  # None: not measured

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Still:
        """A still of an archive."""
        still = cls(**stored)
        return replace(still, bars=Bars(**stored["bars"])) if still.bars else still


@dataclass(frozen=True)
class FrameLook:
    """What one frame shows in full size; see `curate.tasks.video.full_size`."""

    seconds: float  # from the clip's start
    combed: bool  # lines of two times alternate
    blocks: float | None  # change across the lines of a grid / elsewhere; None: no change there


@dataclass(frozen=True)
class Measures:
    """The pictures of a clip and the measures taken of them, all in the order of time."""

    seconds: float  # length of the clip; 0 for a still image
    pictures: Sequence[Picture]  # the small ones
    regular: Sequence[int]  # positions in `pictures`, about one a second
    large: Picture
    pairs: Sequence[Pair] = ()
    stills: Sequence[Still] = ()
    looks: Sequence[FrameLook] | None = None  # None: nobody looked
    ends: Sequence[Picture] = ()  # large ones, near the start and the end; not stored unless asked
    # width and height in the source, as displayed; None: by an older version
    size: tuple[int, int] | None = None
