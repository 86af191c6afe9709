"""What a captioner gives back, and what it takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Answer:
    """A text, the numbers of the words that the model wrote without the end mark, and the seconds it took.

    Clips of one batch share its seconds evenly.
    """

    text: str
    ids: tuple[int, ...]
    seconds: float

    @property
    def tokens(self) -> int:
        """How many words the model wrote."""
        return len(self.ids)


def check_frames(clips: Sequence[NDArray[np.uint8]]) -> None:
    """Raise ValueError unless each clip is frames (n, h, w, 3) of bytes, at least one."""
    for number, clip in enumerate(clips):
        if clip.ndim != 4 or clip.shape[3] != 3 or clip.dtype != np.uint8 or not clip.size:
            raise ValueError(f"clip {number}: frames must be (n, h, w, 3) of uint8, not {clip.shape} of {clip.dtype}")
