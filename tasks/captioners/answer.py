"""What the captioners of this folder share beyond curate.tasks.captioners.interface: the words of a
text, and a check.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from curate.configs.errors import StageError
from curate.tasks.captioners.interface import Caption

if TYPE_CHECKING:
    from curate.tasks.captioners.interface import Frames


@dataclass(frozen=True)
class Answer(Caption):
    """A caption with its words, without the end mark. Clips of one batch share its seconds evenly."""

    ids: tuple[int, ...] = ()


def check_frames(clips: Sequence[Frames], stage: str) -> None:
    """Raise StageError unless each clip is frames (n, h, w, 3) of bytes, at least one."""
    for number, clip in enumerate(clips):
        if clip.ndim != 4 or clip.shape[3] != 3 or clip.dtype != np.uint8 or not clip.size:
            why = f"clip {number}: frames must be (n, h, w, 3) of uint8, not {clip.shape} of {clip.dtype}"
            raise StageError(stage=stage, why=why)
