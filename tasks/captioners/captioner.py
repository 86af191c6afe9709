"""What the captioners of this folder have in common: a published folder loaded, clips written about
in batches.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

from curate.configs.errors import BadModel
from curate.tasks.captioners.answer import Answer, check_frames
from curate.tasks.captioners.language import Decoder, Loader
from curate.tasks.captioners.writing import GREEDY, Beginning, Sampling, write
from curate.tasks.models import device
from curate.tasks.models.checkpoint import CONFIG
from curate.tasks.models.device import Dtype
from curate.tasks.models.weights import Weights

if TYPE_CHECKING:
    from curate.tasks.captioners.interface import Frames


@dataclass(frozen=True, kw_only=True)
class Running:
    """Options of all: clips that are written about at once, and how words are chosen."""

    batch: int = 1
    sampling: Sampling = GREEDY


class Words(Protocol):
    """Numbers to texts."""

    def text(self, ids: Sequence[int]) -> str:
        """The text of numbers, without special words."""
        ...


OptionsT = TypeVar("OptionsT", bound=Running)


class FolderCaptioner(ABC, Generic[OptionsT]):
    """A captioner from a published folder. Raises BadModel, NoDevice, PackageMissing."""

    stage: ClassVar[str]  # whose name errors say
    Options: ClassVar[type[Any]]  # OptionsT

    _vocabulary: Words
    _decoder: Decoder
    _ends: Collection[int]
    _penalty = 1.0  # of words said before

    def __init__(
        self,
        folder: Path,
        setting: str = "auto",
        dtype: Dtype = "auto",
        options: OptionsT | None = None,
    ) -> None:
        self.options: OptionsT = options or self.Options()
        weights = Weights(folder)
        self.name, self.revision = folder.name, weights.revision
        try:
            source = self._checked(weights)
        except ValueError as error:
            raise BadModel(path=folder / CONFIG, why=str(error)) from None
        self._loader = Loader(source, device.start(setting), dtype)
        self._build(self._loader)

    @abstractmethod
    def _checked(self, weights: Weights) -> Weights:
        """Look at config, tensors and words, before anything is loaded; returns where tensors are
        loaded from.

        Raises BadModel; ValueError for a config that says something else than this class can run.
        """

    @abstractmethod
    def _build(self, loader: Loader) -> None:
        """Load the networks."""

    @abstractmethod
    def _beginnings(self, clips: Sequence[Frames], prompt: str) -> list[Beginning]:
        """The conversation with each clip in it. Raises StageError."""

    def caption(self, frames: Frames, prompt: str, max_new_tokens: int = 200) -> Answer:
        """What is seen in one clip, as an answer to the prompt. Raises StageError, NoDevice."""
        return self.captions([frames], prompt, max_new_tokens)[0]

    def captions(
        self, clips: Sequence[Frames], prompt: str, max_new_tokens: int = 200
    ) -> list[Answer]:
        """As `caption`, of several clips, `batch` at a time."""
        check_frames(clips, self.stage)
        batch = max(1, self.options.batch)
        parts = [clips[i : i + batch] for i in range(0, len(clips), batch)]
        return [answer for part in parts for answer in self._answers(part, prompt, max_new_tokens)]

    def _answers(self, clips: Sequence[Frames], prompt: str, max_new_tokens: int) -> list[Answer]:
        begun = time.monotonic()
        beginnings = self._beginnings(clips, prompt)
        written = write(
            self._decoder,
            beginnings,
            max_new_tokens,
            self._ends,
            self.options.sampling,
            self._penalty,
        )
        seconds = (time.monotonic() - begun) / len(clips)
        texts = [self._said(self._vocabulary.text(words)) for words in written]
        return [
            Answer(text, len(words), seconds, ids=tuple(words))
            for text, words in zip(texts, written, strict=True)
        ]

    def _said(self, text: str) -> str:
        """The answer in what was written."""
        return text.strip()
