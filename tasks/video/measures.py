"""Measures of a clip's pictures, as split stores them in the archive of samples (JSON)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Picture:
    """A JPEG of a clip: the time of its frame and its position in the clip's JPEGs."""

    seconds: float  # from the clip's start
    offset: int  # bytes
    size: int  # bytes


@dataclass(frozen=True)
class Pair:
    """Motion between two neighbouring frames, or of one with itself while it is shown for long.

    See `curate.tasks.video.flow`.
    """

    seconds: float  # of the later frame, from the clip's start
    gap: float  # seconds between the two
    flow: float | None  # percent of the diagonal moved a second; None: the picture is too small
    change: float  # mean absolute difference of the luma, 0 to 255


@dataclass(frozen=True)
class Still:
    """Measures of one frame, small and gray; see `curate.tasks.video.flow`."""

    seconds: float  # from the clip's start
    mean: float  # luma, 0 to 255
    deviation: float  # of the luma, 0 to 127.5
    sharpness: float  # variance of the Laplacian


@dataclass(frozen=True)
class Measures:
    """The pictures of a clip and the measures taken of them, all in the order of time."""

    seconds: float  # length of the clip; 0 for a still image
    pictures: Sequence[Picture]  # the small ones
    regular: Sequence[int]  # positions in `pictures`, about one a second
    large: Picture
    pairs: Sequence[Pair] = ()
    stills: Sequence[Still] = ()
