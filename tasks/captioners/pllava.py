"""PLLaVA: LLaVA that sees a few frames of a clip, pooled over time and space. The seed's captioner.

Frames go through CLIP's image tower and a projector, are averaged in three dimensions, and take the
place of <image> in a conversation that a Llama goes on with. As magic-research/PLLaVA, whose
published folders are read as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from curate.configs.errors import BadModel, StageError
from curate.tasks.captioners import pllava_layout, prompts
from curate.tasks.captioners.captioner import FolderCaptioner, Running
from curate.tasks.captioners.clip_patches import Patches
from curate.tasks.captioners.language import Decoder, Floats, Loader
from curate.tasks.captioners.llava_parts import Projector, conversation
from curate.tasks.captioners.pllava_frames import SHORTER, frame_indices, pixels, pool
from curate.tasks.captioners.pllava_lora import merged
from curate.tasks.captioners.vocabulary import Vocabulary
from curate.tasks.captioners.writing import Beginning
from curate.tasks.models.device import device_errors
from curate.tasks.models.weights import Weights
from curate.tasks.video.span import Pick

if TYPE_CHECKING:
    from curate.tasks.captioners.interface import Frames
    from curate.tasks.video.span import SpanShape

IMAGE, END = prompts.IMAGE, "</s>"
USER, ASSISTANT = "USER:", "ASSISTANT:"
QUESTION = prompts.PLLAVA
SYSTEM = (
    "Describe this video. Mind every object in it: the description should let somebody make the same video again. "
    "Write no more than six sentences. Three good descriptions follow. "
    "1. A wooden fishing boat rocks beside a stone pier at dusk. Two men in yellow jackets lift crates of crabs onto "
    "the pier while gulls circle above them. Lamps along the harbour are just coming on, and their light trembles on "
    "the dark water. The camera glides slowly from left to right. "
    "2. Seen from above, a pair of hands kneads dough on a floured marble table. To the right stand a bowl of flour, "
    "three brown eggs and a glass of milk. The light is soft and comes from a window on the left. The camera is still. "
    "3. A red tram climbs a steep street between pastel houses with iron balconies. A woman with a green umbrella "
    "steps aside to let it pass, and the wet cobbles mirror its headlight. The camera follows the tram from behind."
)


@dataclass(frozen=True)
class Options(Running):
    """How PLLaVA is run. `pooling` is (frames, rows, columns), None for (`frames`, 12, 12).

    `lora_alpha` is what its authors caption with; they trained with 32.
    """

    frames: int = 4
    pooling: tuple[int, int, int] | None = None
    system: str = SYSTEM
    lora_alpha: float = 4.0


class Pllava(FolderCaptioner[Options]):
    """A captioner from a published folder of PLLaVA. Raises BadModel, NoDevice, PackageMissing.

    Where a clip has more frames than the model sees, those of the seed's rule are taken.
    """

    stage = "pllava"
    Options = Options
    _vocabulary: Vocabulary

    def _checked(self, weights: Weights) -> Weights:
        folder, config = weights.folder, weights.config
        self._names = pllava_layout.naming(weights.tensors)
        needed, allowed = (
            pllava_layout.expected(config, self._names),
            pllava_layout.optional(config),
        )
        self._text, self._vision = (
            pllava_layout.text_config(config),
            pllava_layout.vision_config(config),
        )
        self._skipped = pllava_layout.skipped(config, self._vision)
        weights.check(needed, "PLLaVA", allowed)
        self._vocabulary = Vocabulary(folder)
        self._image = int(config.get("image_token_index", 32000))
        self._ends = {self._vocabulary.id(END)}
        if self._vocabulary.id(IMAGE) != self._image:
            raise BadModel(
                path=folder, why=f"{IMAGE} has another number in its tokenizer than in its config"
            )
        if max(self._ends) >= self._text.vocab_size:
            raise BadModel(path=folder, why="its tokenizer has more words than its vocab_size")
        return merged(weights, self._names, self.options.lora_alpha)

    def _build(self, loader: Loader) -> None:
        vision, names = self._vision, self._names
        self.side, self._grid = vision.image_size, vision.image_size // vision.patch_size
        self._patches = Patches(
            loader, vision, "vision_tower.vision_model.", self._skipped, self.options.frames
        )
        self._project = Projector(loader, pllava_layout.PROJECTOR)
        head = names.published("lm_head.weight")
        self._decoder = Decoder(loader, "llama", self._text, "model.", head, names.published)

    def wanted(self, span: SpanShape) -> Pick:
        """The frames by the seed's rule, no larger than they are used."""
        shorter = min(span.width, span.height)
        size = (
            (span.width * SHORTER // shorter, span.height * SHORTER // shorter)
            if shorter > SHORTER
            else None
        )
        return Pick(frame_indices(span.num_frames, self.options.frames), size)

    def _beginnings(self, clips: Sequence[Frames], prompt: str) -> list[Beginning]:
        ids = self.ids(prompt)
        at = ids.index(self._image)
        parts = ids[:at], ids[at + 1 :]
        return [conversation(self._decoder, parts, [self.features(clip)]) for clip in clips]

    def _said(self, text: str) -> str:
        return text.split(ASSISTANT)[-1].strip()

    def conversation(self, prompt: str) -> str:
        """What the language model is given to go on with."""
        system = f"{self.options.system} " if self.options.system else ""
        return f"{system}{USER}{IMAGE} {prompt} {ASSISTANT}"

    def ids(self, prompt: str) -> list[int]:
        """The words of the conversation. An <image> in the prompt stands for no picture:
        StageError.
        """
        found = self._vocabulary.ids(self.conversation(prompt))
        if found.count(self._image) != 1:
            raise StageError(
                stage=self.stage, why=f"{IMAGE} must not be in a prompt or system text"
            )
        return found

    def features(self, clip: Frames) -> Floats:
        """What the language model sees of a clip: (words, width)."""
        chosen = (
            clip[frame_indices(len(clip), self.options.frames)]
            if len(clip) > self.options.frames
            else clip
        )
        if len(chosen) < self.options.frames:
            chosen = chosen.repeat(self.options.frames // len(chosen) + 1, axis=0)[
                : self.options.frames
            ]
        states = self._patches.states(np.stack([pixels(frame, self.side) for frame in chosen]))
        pooling = self.options.pooling or (self.options.frames, 12, 12)
        with device_errors(self._loader.device):
            hidden = self._project(states).reshape((len(chosen), self._grid, self._grid, -1))
            found: Floats = (
                pool(hidden, pooling, self._loader).astype(self._loader.ms.float32).asnumpy()
            )
        return found
