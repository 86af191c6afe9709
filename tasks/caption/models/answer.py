"""What a captioner takes and gives back. The same as captioners of any kind have; `Answer` knows its words besides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.uint8]  # n x height x width x 3, RGB, of one clip


class Span(Protocol):
    """The clip to be captioned: frames, frames a second (None of a still image), and size as displayed."""

    num_frames: int
    fps: float | None
    width: int
    height: int


@dataclass(frozen=True)
class Wanted:
    """Which frames of a clip a captioner wants, never falling, and the (width, height) to scale them to, or None."""

    indices: Sequence[int]
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class Answer:
    """A text, the number of words that the model wrote without the end mark, and the seconds it took.

    Clips of one batch share its seconds evenly. `ids` are the words.
    """

    text: str
    tokens: int
    seconds: float
    ids: tuple[int, ...] = ()


def check_frames(clips: Sequence[Frames]) -> None:
    """Raise ValueError unless each clip is frames (n, h, w, 3) of bytes, at least one."""
    for number, clip in enumerate(clips):
        if clip.ndim != 4 or clip.shape[3] != 3 or clip.dtype != np.uint8 or not clip.size:
            raise ValueError(f"clip {number}: frames must be (n, h, w, 3) of uint8, not {clip.shape} of {clip.dtype}")
