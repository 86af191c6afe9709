"""What all local captioners share: loading a published folder and captioning in batches."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np

from curate.configs.errors import BadModel
from curate.configs.row_errors import StageError
from curate.tasks.captioners.interface import Caption
from curate.tasks.captioners.language_model import Decoder, Loader
from curate.tasks.captioners.writing import GREEDY, Beginning, Sampling, write
from curate.tasks.models import device
from curate.tasks.models.checkpoint import CONFIG
from curate.tasks.models.device import Dtype
from curate.tasks.models.weights import Weights

if TYPE_CHECKING:
    from curate.tasks.captioners.interface import Frames


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Options of all captioners: clips per batch, and how tokens are chosen."""

    batch: int = 1
    sampling: Sampling = GREEDY


class Detokenizer(Protocol):
    """Turns tokens into text."""

    def text(self, ids: Sequence[int]) -> str:
        """The text of tokens, without special tokens."""
        ...


RunOptionsT = TypeVar("RunOptionsT", bound=RunOptions)


class FolderCaptioner(ABC, Generic[RunOptionsT]):
    """A captioner from a published folder. Raises BadModel, NoDevice, PackageMissing."""

    stage: ClassVar[str]  # named in errors
    Options: ClassVar[type[Any]]  # RunOptionsT

    # `check_weights` sets the first three, `build` the decoder
    vocabulary: Detokenizer
    end_ids: Collection[int]
    repetition_penalty = 1.0
    decoder: Decoder

    def __init__(
        self,
        folder: Path,
        setting: str = "auto",
        dtype: Dtype = "auto",
        options: RunOptionsT | None = None,
    ) -> None:
        self.options: RunOptionsT = options or self.Options()
        weights = Weights(folder)
        self.name, self.revision = folder.name, weights.revision
        try:
            source = self.check_weights(weights)
        except ValueError as error:
            raise BadModel(path=folder / CONFIG, why=str(error)) from None
        self.loader = Loader(source, device.start(setting), dtype)
        self.build(self.loader)

    @abstractmethod
    def check_weights(self, weights: Weights) -> Weights:
        """Check config, tensors and vocabulary before loading; return the weights to load.

        Raises BadModel; ValueError for a config that this class cannot run.
        """

    @abstractmethod
    def build(self, loader: Loader) -> None:
        """Load the networks."""

    @abstractmethod
    def beginnings(self, clips: Sequence[Frames], prompt: str) -> list[Beginning]:
        """The conversation about each clip, up to the answer. Raises StageError."""

    def caption(self, frames: Frames, prompt: str, max_new_tokens: int = 200) -> Caption:
        """The caption of one clip, as an answer to the prompt. Raises StageError, NoDevice."""
        return self.captions([frames], prompt, max_new_tokens)[0]

    def captions(
        self, clips: Sequence[Frames], prompt: str, max_new_tokens: int = 200
    ) -> list[Caption]:
        """The captions of several clips, `batch` at a time. Raises as `caption` does."""
        check_frames(clips, self.stage)
        captions: list[Caption] = []
        size = max(1, self.options.batch)
        for first in range(0, len(clips), size):
            begun = time.monotonic()
            beginnings = self.beginnings(clips[first : first + size], prompt)
            written = write(
                self.decoder,
                beginnings,
                max_new_tokens,
                self.end_ids,
                self.options.sampling,
                self.repetition_penalty,
            )
            seconds = (time.monotonic() - begun) / len(beginnings)
            for ids in written:
                text = self.answer(self.vocabulary.text(ids))
                captions.append(Caption(text, len(ids), seconds, ids=tuple(ids)))
        return captions

    def answer(self, text: str) -> str:
        """The answer within the generated text."""
        return text.strip()


def check_frames(clips: Sequence[Frames], stage: str) -> None:
    """Raise StageError unless each clip is a non-empty uint8 array (n, h, w, 3)."""
    for number, clip in enumerate(clips):
        if clip.ndim != 4 or clip.shape[3] != 3 or clip.dtype != np.uint8 or not clip.size:
            why = (
                f"clip {number}: frames must be (n, h, w, 3) of uint8, "
                f"not {clip.shape} of {clip.dtype}"
            )
            raise StageError(stage=stage, why=why)
