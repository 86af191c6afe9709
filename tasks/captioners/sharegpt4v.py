"""ShareGPT4V: a LLaVA 1.5 trained on long captions, of pictures. Of a clip it sees one frame, or a
few.

Each frame goes through CLIP's image tower and a projector, and takes the place of <image> in a
conversation that a Llama goes on with. As ShareGPT4Omni/ShareGPT4V, whose two published folders are
read as they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from curate.configs.errors import BadModel, StageError
from curate.tasks.captioners import prompts
from curate.tasks.captioners import sharegpt4v_layout as layout
from curate.tasks.captioners.captioner import FolderCaptioner, Running
from curate.tasks.captioners.clip_patches import Patches
from curate.tasks.captioners.language import Decoder, Floats, Loader
from curate.tasks.captioners.llava_layout import skipped_layers
from curate.tasks.captioners.llava_parts import Projector, conversation
from curate.tasks.captioners.sharegpt4v_frames import frame_indices, pixels
from curate.tasks.captioners.vocabulary import PieceVocabulary
from curate.tasks.captioners.writing import Beginning
from curate.tasks.models.checkpoint import CONFIG
from curate.tasks.models.device import check_installed, device_errors
from curate.tasks.models.verify import (
    MODEL_TYPES,
    PIECES,
    TOWER_TYPES,
    check_type,
    tower_folder,
)
from curate.tasks.models.weights import Weights
from curate.tasks.video.span import Pick

if TYPE_CHECKING:
    from curate.tasks.captioners.interface import Frames
    from curate.tasks.video.span import SpanShape

IMAGE, BEGIN, END = prompts.IMAGE, "<s>", "</s>"
QUESTION = prompts.SHAREGPT4V
# the conversation `vicuna_v1`, which it was trained with; other words in front would be new to it
SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)


@dataclass(frozen=True)
class Options(Running):
    """How ShareGPT4V is run. `tower` is the folder of its image tower; None: as its config names
    it, beside or in it.

    It was trained with one picture; of several `frames` each is a picture of the conversation.
    """

    frames: int = 1
    tower: Path | None = None
    system: str = SYSTEM


class ShareGpt4v(FolderCaptioner[Options]):
    """A captioner from published folders of ShareGPT4V. Raises BadModel, NoDevice, PackageMissing.

    Where a clip has more frames than the model sees, the middles of equal parts of it are taken.
    """

    stage = "sharegpt4v"
    Options = Options
    _vocabulary: PieceVocabulary

    def _checked(self, weights: Weights) -> Weights:
        check_installed()
        check_type(weights, MODEL_TYPES)
        self._text = layout.text_config(weights.config)
        self._tower = self._checked_tower(
            tower_folder(weights.folder, weights.config, self.options.tower)
        )
        self._skipped = skipped_layers(weights.config, "mm_vision_select_layer", self._vision)
        weights.check(
            layout.expected(self._text, self._vision),
            "ShareGPT4V",
            unread=layout.unread(self._text),
        )
        self._vocabulary = PieceVocabulary(weights.folder / PIECES)
        self._begin, self._ends = self._vocabulary.id(BEGIN), {self._vocabulary.id(END)}
        if len(self._vocabulary) > self._text.vocab_size:
            raise BadModel(path=weights.folder, why=f"{PIECES} has more words than its vocab_size")
        self.revision = hashlib.sha256((self.revision + self._tower.revision).encode()).hexdigest()[
            :12
        ]
        return weights

    def _checked_tower(self, folder: Path) -> Weights:
        tower = Weights(folder)
        check_type(tower, TOWER_TYPES)
        try:
            self._vision, unread = (
                layout.vision_config(tower.config),
                layout.unread_tower(tower.config),
            )
        except ValueError as error:
            raise BadModel(path=folder / CONFIG, why=str(error)) from None
        allowed = layout.allowed_tower(self._vision)
        tower.check(layout.expected_tower(self._vision), "an image tower of CLIP", allowed, unread)
        return tower

    def _build(self, loader: Loader) -> None:
        self.side = self._vision.image_size
        tower = loader.beside(self._tower)
        self._patches = Patches(
            tower, self._vision, "vision_model.", self._skipped, self.options.frames
        )
        self._project = Projector(loader, layout.PROJECTOR)
        self._decoder = Decoder(loader, "llama", self._text, "model.", "lm_head.weight")

    def wanted(self, span: SpanShape) -> Pick:
        """The middle frame, or the middles of equal parts, as displayed."""
        return Pick(frame_indices(span.num_frames, self.options.frames))

    def _beginnings(self, clips: Sequence[Frames], prompt: str) -> list[Beginning]:
        parts = self.ids(prompt)
        return [conversation(self._decoder, parts, self.features(clip)) for clip in clips]

    def conversation(self, prompt: str) -> str:
        """What the language model is given to go on with."""
        system = f"{self.options.system} " if self.options.system else ""
        pictures = f"{IMAGE}\n" * self.options.frames
        return f"{system}USER: {pictures}{prompt} ASSISTANT:"

    def ids(self, prompt: str) -> list[list[int]]:
        """The words of the conversation before, between and behind its pictures; each part is a
        text of its own.

        An <image> in the prompt stands for no picture: StageError.
        """
        parts = self.conversation(prompt).split(IMAGE)
        if len(parts) != self.options.frames + 1:
            raise StageError(
                stage=self.stage, why=f"{IMAGE} must not be in a prompt or system text"
            )
        first, *others = (self._vocabulary.ids(part) for part in parts)
        return [[self._begin, *first], *others]

    def features(self, clip: Frames) -> list[Floats]:
        """What the language model sees of each picture of a clip: (words, width)."""
        chosen = clip[frame_indices(len(clip), self.options.frames)]
        states = self._patches.states(np.stack([pixels(frame, self.side) for frame in chosen]))
        with device_errors(self._loader.device):
            found: Floats = self._project(states).astype(self._loader.ms.float32).asnumpy()
        return list(found)
