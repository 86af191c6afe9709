"""The interface of captioners. Nothing here knows stages, rows or a database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from curate.configs.row_errors import RowError
from curate.tasks.video.span import Pick, SpanShape

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    # n x height x width x 3, upright RGB, of one clip, in the order of Pick.indices
    Frames = NDArray[np.uint8]


@dataclass(frozen=True)
class Caption:
    """What a captioner wrote: the answer without the prompt, stripped."""

    text: str
    tokens: int | None  # of the answer; None: not known
    seconds: float  # wall time; that of a batch is split evenly between its clips
    revision: str | None = None  # if only the answer reveals it; None: that of the captioner
    ids: tuple[int, ...] = ()  # the tokens without the end mark, if known
    fields: Mapping[str, str] = field(default_factory=dict)  # if it was asked for in fields
    error: RowError | None = None  # why the text is no caption, of one of several


class Captioner(Protocol):
    """Writes captions. Each process creates it once; it loads its weights then or on first use.

    The same frames, prompt and limit give the same caption, unless the captioner samples without a
    seed.
    """

    @property
    def name(self) -> str:
        """The value of `captions.model`: the folder of the weights, or the server's model name."""
        ...

    @property
    def revision(self) -> str:
        """The version of the weights (first digits of their SHA-256), or what the server reports.

        May be empty.
        """
        ...

    def choose_frames(self, clip: SpanShape) -> Pick:
        """The frames that `caption` needs. Raises StageError if the clip cannot be captioned."""
        ...

    def caption(self, frames: Frames, prompt: str, max_new_tokens: int) -> Caption:
        """The caption of one clip. RowError fails only this clip, ServiceError fails none."""
        ...


class ModelCaptioner(Captioner, Protocol):
    """A captioner that captions several clips at once."""

    def captions(
        self, clips: Sequence[Frames], prompt: str, max_new_tokens: int
    ) -> Sequence[Caption]:
        """The captions of several clips. Raises as `caption` does."""
        ...
