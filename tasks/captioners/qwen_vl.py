"""What Qwen2-VL and Qwen2.5-VL have in common: a clip in a conversation, and the answer to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from curate.configs.errors import BadModel, StageError
from curate.tasks.captioners import prompts, qwen_layout
from curate.tasks.captioners.captioner import FolderCaptioner, Running
from curate.tasks.captioners.language import Decoder, Loader
from curate.tasks.captioners.qwen_frames import Pixels, frame_indices, patches, resized, word_places
from curate.tasks.captioners.qwen_layout import Family
from curate.tasks.captioners.qwen_tower import Tower
from curate.tasks.captioners.vocabulary import Vocabulary
from curate.tasks.captioners.writing import Beginning
from curate.tasks.models import checkpoint
from curate.tasks.models.weights import Weights
from curate.tasks.video.span import Pick

if TYPE_CHECKING:
    from curate.tasks.captioners.interface import Frames
    from curate.tasks.video.span import SpanShape

QUESTION = prompts.QWEN
SYSTEM = "You are a helpful assistant."
VIDEO = prompts.VIDEO
_ENDS = ("<|im_end|>", "<|endoftext|>")


@dataclass(frozen=True)
class Options(Running):
    """How Qwen-VL is run: frames of a second of the clips it is given, bounds of their pixels.

    `repetition_penalty` is that of the folder's generation_config.json where None.
    """

    fps: float = 4.0
    pixels: Pixels = field(default_factory=Pixels)
    system: str = SYSTEM
    repetition_penalty: float | None = None


class QwenVl(FolderCaptioner[Options]):
    """A captioner from a published folder. Raises BadModel, NoDevice, PackageMissing."""

    family: ClassVar[Family]
    Options = Options
    _vocabulary: Vocabulary

    def _checked(self, weights: Weights) -> Weights:
        self._config = qwen_layout.configuration(self.family, weights.config)
        weights.check(qwen_layout.expected(self.family, self._config), self.family)
        self._vocabulary = Vocabulary(weights.folder)
        self._video = self._vocabulary.id(VIDEO)
        if self._video != self._config.video_token_id:
            raise BadModel(
                path=weights.folder,
                why=f"{VIDEO} has another number in its tokenizer than in its config",
            )
        self._ends, self._penalty = self._generation(weights.folder)
        return weights

    def _build(self, loader: Loader) -> None:
        self._tower = Tower(loader, self.family, self._config.vision_config)
        self._decoder = Decoder(
            loader, self.family, self._config.text_config, "model.", qwen_layout.head(self._config)
        )

    def wanted(self, span: SpanShape) -> Pick:
        """So many frames of a second as the options say, in the size that the model sees. Raises
        StageError.
        """
        indices = frame_indices(span.num_frames, span.fps or self.options.fps, self.options.fps)
        rows, columns = self._resized(span.height, span.width, len(indices))
        return Pick(indices, (columns, rows))

    def _beginnings(self, clips: Sequence[Frames], prompt: str) -> list[Beginning]:
        return [self.beginning(clip, prompt) for clip in clips]

    def conversation(self, prompt: str) -> str:
        """What the language model is given to go on with, the clip being one word of it."""
        system = f"<|im_start|>system\n{self.options.system}<|im_end|>\n"
        user = f"<|im_start|>user\n<|vision_start|>{VIDEO}<|vision_end|>{prompt}<|im_end|>\n"
        return f"{system}{user}<|im_start|>assistant\n"

    def beginning(self, clip: Frames, prompt: str) -> Beginning:
        """The conversation with the clip in it. Raises StageError for a prompt with the word for a
        clip in it.
        """
        ids = self._vocabulary.ids(self.conversation(prompt))
        if ids.count(self._video) != 1:
            raise StageError(
                stage=self.stage, why=f"{VIDEO} must not be in a prompt or system text"
            )
        at = ids.index(self._video)
        self._resized(
            clip.shape[1], clip.shape[2], len(clip)
        )  # raises what patches would, as StageError
        cut, grid = patches(clip, self.options.pixels)
        seen = self._tower.see(cut, grid)
        embedded = np.concatenate(
            [self._decoder.embed(ids[:at]), seen, self._decoder.embed(ids[at + 1 :])]
        )
        places, after = word_places(at, grid, len(ids) - at - 1, self._step())
        return Beginning(
            embedded, places, after, [*ids[:at], *[self._video] * len(seen), *ids[at + 1 :]]
        )

    def _resized(self, height: int, width: int, frames: int) -> tuple[int, int]:
        """Rows and columns of each of so many frames. Raises StageError."""
        try:
            return resized(height, width, self.options.pixels.of(frames))
        except ValueError as error:
            raise StageError(stage=self.stage, why=error) from None

    def _step(self) -> float:
        """How far apart in time the model is told that two pairs of frames are."""
        return 1.0

    def _generation(self, folder: Path) -> tuple[set[int], float]:
        """End marks, and how much a word said before is made less likely."""
        file = folder / "generation_config.json"
        given: dict[str, Any] = checkpoint.read_config(file) if file.is_file() else {}
        ends = given.get("eos_token_id", [self._vocabulary.id(end) for end in _ENDS])
        ends = ends if isinstance(ends, list) else [ends]
        penalty = self.options.repetition_penalty
        penalty = given.get("repetition_penalty", 1.0) if penalty is None else penalty
        if (
            not all(type(end) is int for end in ends)
            or not isinstance(penalty, int | float)
            or penalty <= 0
        ):
            raise BadModel(path=file, why="eos_token_id or repetition_penalty is no number")
        return set(ends), float(penalty)
