"""What split measures of a clip's pictures, as it is stored in the archive of samples (JSON)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Picture:
    """Where a JPEG lies among those of its clip, and when it is shown."""

    seconds: float  # from the clip's start
    offset: int
    size: int


@dataclass(frozen=True)
class Pair:
    """Motion between two neighbouring frames; see `curate.tasks.video.flow`."""

    seconds: float  # of the later frame, from the clip's start
    gap: float  # seconds between the two
    flow: float | None  # percent of the picture's diagonal moved a second; None: too small to tell
    change: float  # mean absolute difference of the luma, 0 to 255


@dataclass(frozen=True)
class Still:
    """Measures of one frame in small gray; see `curate.tasks.video.flow`."""

    seconds: float  # from the clip's start
    mean: float  # luma, 0 to 255
    deviation: float  # of the luma, 0 to 127.5
    sharpness: float  # variance of the Laplacian


@dataclass(frozen=True)
class Measures:
    """All that is known of a clip's pictures, which are in the order of time."""

    seconds: float  # length of the clip; 0 for a still image
    pictures: Sequence[Picture]
    regular: Sequence[int]  # positions in `pictures`, about one a second
    large: Picture
    pairs: Sequence[Pair] = ()
    stills: Sequence[Still] = ()
