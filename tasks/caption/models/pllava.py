"""PLLaVA: LLaVA that sees a few frames of a clip, pooled over time and space. The seed's captioner.

Frames go through CLIP's image tower and a projector, are averaged in three dimensions, and take the place of <image>
in a conversation that a Llama goes on with. As magic-research/PLLaVA, whose published folders are read as they are.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from curate.configs.errors import BadModel, StageError
from curate.tasks.caption.interface import Wanted
from curate.tasks.caption.models import pllava_layout, prompts
from curate.tasks.caption.models.answer import Answer, check_frames
from curate.tasks.caption.models.clip_patches import Patches
from curate.tasks.caption.models.language import Decoder, Floats, Loader
from curate.tasks.caption.models.pllava_frames import SHORTER, frame_indices, pixels, pool
from curate.tasks.caption.models.pllava_lora import merged
from curate.tasks.caption.models.vocabulary import Vocabulary
from curate.tasks.caption.models.weights import Weights
from curate.tasks.caption.models.writing import GREEDY, Beginning, Sampling, write
from curate.tasks.models import device
from curate.tasks.models.device import Dtype, lost

if TYPE_CHECKING:
    from curate.tasks.caption.interface import Frames, Span

IMAGE, END = "<image>", "</s>"
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
class Options:
    """How PLLaVA is run. `pooling` is (frames, rows, columns), None for (`frames`, 12, 12); `batch` clips at once.

    `lora_alpha` is what its authors caption with; they trained with 32.
    """

    frames: int = 4
    pooling: tuple[int, int, int] | None = None
    system: str = SYSTEM
    lora_alpha: float = 4.0
    batch: int = 1
    sampling: Sampling = GREEDY


class Pllava:
    """A captioner from a published folder of PLLaVA. Raises BadModel, NoDevice, PackageMissing."""

    def __init__(
        self, folder: Path, setting: str = "auto", dtype: Dtype = "auto", options: Options | None = None
    ) -> None:
        self.options = options or Options()
        weights = Weights(folder)
        self.name, self.revision = folder.name, weights.revision
        names = pllava_layout.naming(weights.tensors)
        try:
            needed, allowed = pllava_layout.expected(weights.config, names), pllava_layout.optional(weights.config)
            text, vision = pllava_layout.text_config(weights.config), pllava_layout.vision_config(weights.config)
            self._feature_layer(weights.config)
        except ValueError as error:
            raise BadModel(path=folder / "config.json", why=str(error)) from None
        weights.check(needed, "PLLaVA", allowed)
        self._vocabulary = Vocabulary(folder)
        self._image = int(weights.config.get("image_token_index", 32000))
        self._end = self._vocabulary.id(END)
        if self._vocabulary.id(IMAGE) != self._image:
            raise BadModel(path=folder, why=f"{IMAGE} has another number in its tokenizer than in its config")
        if self._end >= text.vocab_size:
            raise BadModel(path=folder, why="its tokenizer has more words than its vocab_size")
        loader = Loader(merged(weights, names, self.options.lora_alpha), device.start(setting), dtype)
        self._loader = loader
        self.side, self._grid = vision.image_size, vision.image_size // vision.patch_size
        tower = "vision_tower.vision_model."
        self._patches = Patches(loader, vision, tower, self._skipped, self.options.frames)
        self._linear = [self._projection(n) for n in (1, 2)]
        self._gelu = loader.ms.nn.GELU(approximate=False)
        self._decoder = Decoder(loader, "llama", text, "model.", names.published("lm_head.weight"), names.published)

    def wanted(self, span: Span) -> Wanted:
        """The frames by the seed's rule, no larger than they are used."""
        shorter = min(span.width, span.height)
        size = (span.width * SHORTER // shorter, span.height * SHORTER // shorter) if shorter > SHORTER else None
        return Wanted(frame_indices(span.num_frames, self.options.frames), size)

    def caption(self, frames: Frames, prompt: str, max_new_tokens: int = 200) -> Answer:
        """What is seen in one clip, as an answer to the prompt. Raises StageError, NoDevice."""
        return self.captions([frames], prompt, max_new_tokens)[0]

    def captions(self, clips: Sequence[Frames], prompt: str, max_new_tokens: int = 200) -> list[Answer]:
        """As `caption`, of several clips, `batch` at a time.

        Where a clip has more frames than the model sees, those of the seed's rule are taken.
        """
        check_frames(clips, "pllava")
        batch = max(1, self.options.batch)
        parts = [clips[i : i + batch] for i in range(0, len(clips), batch)]
        return [answer for part in parts for answer in self._answers(part, prompt, max_new_tokens)]

    def _answers(self, clips: Sequence[Frames], prompt: str, max_new_tokens: int) -> list[Answer]:
        begun = time.monotonic()
        ids = self.ids(prompt)
        beginnings = [self._beginning(ids, self.features(clip)) for clip in clips]
        written = write(self._decoder, beginnings, max_new_tokens, {self._end}, self.options.sampling)
        seconds = (time.monotonic() - begun) / len(clips)
        texts = [self._vocabulary.text(words).split(ASSISTANT)[-1].strip() for words in written]
        return [Answer(text, len(words), seconds, ids=tuple(words)) for text, words in zip(texts, written, strict=True)]

    def conversation(self, prompt: str) -> str:
        """What the language model is given to go on with."""
        system = f"{self.options.system} " if self.options.system else ""
        return f"{system}{USER}{IMAGE} {prompt} {ASSISTANT}"

    def ids(self, prompt: str) -> list[int]:
        """The words of the conversation. An <image> in the prompt stands for no picture: StageError."""
        found = self._vocabulary.ids(self.conversation(prompt))
        if found.count(self._image) != 1:
            raise StageError(stage="pllava", why=f"{IMAGE} must not be in a prompt or system text")
        return found

    def features(self, clip: Frames) -> Floats:
        """What the language model sees of a clip: (words, width)."""
        chosen = clip[frame_indices(len(clip), self.options.frames)] if len(clip) > self.options.frames else clip
        if len(chosen) < self.options.frames:
            chosen = chosen.repeat(self.options.frames // len(chosen) + 1, axis=0)[: self.options.frames]
        states = self._patches.states(np.stack([pixels(frame, self.side) for frame in chosen]))
        pooling = self.options.pooling or (self.options.frames, 12, 12)
        with lost(self._loader.device):
            hidden = self._linear[0](states)
            hidden = self._linear[1](self._gelu(hidden))
            hidden = hidden.reshape((len(chosen), self._grid, self._grid, -1))
            found: Floats = pool(hidden, pooling, self._loader).astype(self._loader.ms.float32).asnumpy()
        return found

    def _beginning(self, ids: Sequence[int], features: Floats) -> Beginning:
        at = list(ids).index(self._image)
        embedded = np.concatenate([self._decoder.embed(ids[:at]), features, self._decoder.embed(ids[at + 1 :])])
        return Beginning(embedded, np.arange(len(embedded))[None], len(embedded))

    def _projection(self, number: int) -> Any:
        name = f"multi_modal_projector.linear_{number}."
        outputs, inputs = self._loader.weights.tensors[f"{name}weight"].shape
        return self._loader.built(lambda: self._loader.ms.nn.Dense(inputs, outputs), name)

    def _feature_layer(self, config: Any) -> None:
        layer = config.get("vision_feature_layer", -2)
        strategy = config.get("vision_feature_select_strategy", "default")
        if not isinstance(layer, int) or layer >= 0 or strategy != "default":
            raise ValueError("vision_feature_layer must be below 0 and vision_feature_select_strategy default")
        self._skipped = -1 - layer
