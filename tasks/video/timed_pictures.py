"""Pictures of a video that know when each of them is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


class TimedPictures(np.ndarray[Any, np.dtype[np.uint8]]):
    """Pictures (n, height, width, 3), and the second at which each is shown.

    Parts and copies are plain pictures: their `seconds` is empty.
    """

    seconds: Sequence[float] = ()


def timed(pictures: NDArray[np.uint8], seconds: Sequence[float]) -> NDArray[np.uint8]:
    """The pictures with their seconds; the pictures themselves if there are none."""
    if not seconds:
        return pictures
    made = pictures.view(TimedPictures)
    made.seconds = tuple(seconds)
    return made


def seconds_of(pictures: NDArray[np.uint8], fps: float) -> list[float]:
    """When each picture is shown; if that is not known, as if there were `fps` of them a second."""
    known = pictures.seconds if isinstance(pictures, TimedPictures) else ()
    return list(known) or [number / fps for number in range(len(pictures))]
