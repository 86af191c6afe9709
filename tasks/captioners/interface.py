"""What a captioner is. Nothing here knows stages, rows or a database; models implement it in
tasks/caption/models.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from curate.tasks.video.span import Pick, SpanShape

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Frames = NDArray[
        np.uint8
    ]  # n x height x width x 3, upright RGB, of one clip, in the order of Pick.indices


@dataclass(frozen=True)
class Caption:
    """What a captioner wrote: the answer only, not the prompt; stripped. `tokens` are those of the
    answer.
    """

    text: str
    tokens: int
    seconds: float  # wall time it took
    revision: str | None = None  # where only the answer tells it; None: that of the captioner


class Captioner(Protocol):
    """Writes captions. Made once a process; weights are loaded when it is made, or on the first
    caption.

    The same frames, prompt and limit give the same caption, unless the captioner samples without a
    seed.
    """

    @property
    def name(self) -> str:
        """What `captions.model` holds: the folder of the weights, or the server's name for the
        model.
        """
        ...

    @property
    def revision(self) -> str:
        """Which version of the weights (first digits of their SHA-256), or what the server says;
        may be empty.
        """
        ...

    def wanted(self, span: SpanShape) -> Pick:
        """The frames that `caption` needs of a clip. Raises StageError for a clip that cannot be
        captioned.
        """
        ...

    def caption(self, frames: Frames, prompt: str, max_new_tokens: int) -> Caption:
        """The caption of one clip. Raises RowError, which fails this clip, or ServiceError, which
        fails none.
        """
        ...
