"""PLLaVA: a LLaVA that sees a few frames of a clip, pooled over time and space.

The captioner of the seed. CLIP's image tower and a projector encode the frames; their states are
averaged in three dimensions and replace <image> in a conversation that a Llama continues. Follows
magic-research/PLLaVA and reads its published folders (ermu2001/pllava-7b and 13b) unchanged.

In reading order: which frames and pixels it sees, which tensors its folder holds, how LoRA is
merged into them, the captioner.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from curate.configs.errors import BadModel
from curate.configs.row_errors import StageError
from curate.tasks.captioners import prompts
from curate.tasks.captioners.folder_captioner import FolderCaptioner, RunOptions
from curate.tasks.captioners.language_model import Decoder, Floats, Loader
from curate.tasks.captioners.llava import (
    PatchTower,
    Projector,
    clip_config,
    clip_tensors,
    conversation,
    llama_config,
    llama_tensors,
    position_ids,
    projector_tensors,
    skipped_layers,
)
from curate.tasks.captioners.vocabulary import Vocabulary
from curate.tasks.captioners.writing import Beginning
from curate.tasks.models import preprocess
from curate.tasks.models.checkpoint import Tensor
from curate.tasks.models.device import device_errors
from curate.tasks.models.layouts import Shapes
from curate.tasks.models.weights import Weights
from curate.tasks.video.span import Pick, SpanShape

if TYPE_CHECKING:
    from curate.tasks.captioners.interface import Frames

IMAGE, END = prompts.IMAGE, "</s>"
USER, ASSISTANT = "USER:", "ASSISTANT:"
QUESTION = prompts.PLLAVA
SYSTEM = (
    "Describe this video. Mind every object in it: the description should let somebody make the "
    "same video again. Write no more than six sentences. Three good descriptions follow. "
    "1. A wooden fishing boat rocks beside a stone pier at dusk. Two men in yellow jackets lift "
    "crates of crabs onto the pier while gulls circle above them. Lamps along the harbour are just "
    "coming on, and their light trembles on the dark water. The camera glides slowly from left to "
    "right. "
    "2. Seen from above, a pair of hands kneads dough on a floured marble table. To the right "
    "stand a bowl of flour, three brown eggs and a glass of milk. The light is soft and comes from "
    "a window on the left. The camera is still. "
    "3. A red tram climbs a steep street between pastel houses with iron balconies. A woman with a "
    "green umbrella steps aside to let it pass, and the wet cobbles mirror its headlight. The "
    "camera follows the tram from behind."
)
SHORTER = 672  # pixels of the shorter side after the authors' reader
LONGER = 640  # most pixels of the longer side after their processor
PROJECTOR = ("multi_modal_projector.linear_1", "multi_modal_projector.linear_2")
# values of LLaVA 1.5 that the config of PLLaVA leaves out
VISION = {
    "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
    "num_attention_heads": 16, "patch_size": 14, "image_size": 336, "num_channels": 3,
}  # fmt: skip
_PEFT = "language_model.base_model.model."
_PLAIN = "language_model."
_BASE = ".base_layer"
_LORA = re.compile(r"\.self_attn\.(\w+_proj)\.lora_(A|B)\.default\.weight$")


def frame_indices(count: int, target: int) -> list[int]:
    """Indices of `target` of `count` frames, evenly spaced.

    The clip is divided into `target` equal parts; the first index is the middle of the first part.
    """
    if count < 1 or target < 1:
        raise ValueError("count and target must be 1 or more")
    part = (count - 1) / target
    first = int(part / 2)
    # rounds halves to even, as NumPy does
    return [first + round(part * number) for number in range(target)]


def pixels(frame: NDArray[np.uint8], side: int) -> Floats:
    """A frame (h, w, 3) as (3, side, side), resized in the authors' three steps and normalised.

    Their reader resizes the shorter side to 672 (bilinear); their processor shrinks the longer side
    to at most 640, with the shorter one not below `side` (bicubic); CLIP's processor resizes the
    shorter side to `side`, crops the middle and normalises.
    """
    picture = _resized(Image.fromarray(frame), SHORTER, Image.Resampling.BILINEAR)
    width, height = picture.size
    ratio = max(picture.size) / min(picture.size)
    shorter = max(min(width, height, int(min(LONGER, max(width, height)) / ratio)), side)
    picture = _resized(picture, shorter, Image.Resampling.BICUBIC)
    longer = int(shorter * ratio)  # may be one pixel less than in the picture
    array = np.asarray(picture)
    array = array[:longer] if height > width else array[:, :longer]
    return preprocess.pixels(np.ascontiguousarray(array), preprocess.Preprocess(side))


def _resized(picture: Image.Image, shorter: int, method: Image.Resampling) -> Image.Image:
    """The picture, resized to `shorter` pixels on its shorter side."""
    width, height = picture.size
    longer = int(shorter * max(width, height) / min(width, height))
    return picture.resize((shorter, longer) if width <= height else (longer, shorter), method)


def pool(hidden: Any, shape: tuple[int, int, int], loader: Loader) -> Any:
    """Adaptive 3D average pooling of states (frames, rows, columns, width) to `shape`.

    Returns (positions, width). Each dimension is multiplied by a matrix of averages, for which
    every device has a kernel.
    """
    matmul = loader.ms.ops.matmul
    frames, rows, columns, width = hidden.shape
    over_frames, over_rows, over_columns = (
        loader.tensor(averages(n, m)) for n, m in zip((frames, rows, columns), shape, strict=True)
    )
    hidden = matmul(over_frames, hidden.reshape((frames, -1)))
    hidden = matmul(over_rows, hidden.reshape((shape[0], rows, columns * width)))
    hidden = matmul(over_columns, hidden.reshape((shape[0] * shape[1], columns, width)))
    return hidden.reshape((-1, width))


def averages(count: int, target: int) -> Floats:
    """A matrix (target, count) that averages `count` values down to `target`.

    Row i averages from floor(i · count / target) to ceil((i + 1) · count / target).
    """
    matrix = np.zeros((target, count), np.float32)
    for row in range(target):
        first, end = row * count // target, -(-(row + 1) * count // target)
        matrix[row, first:end] = 1 / (end - first)
    return matrix


@dataclass(frozen=True)
class Naming:
    """How a checkpoint names its language model, and which projections LoRA changes, at what rank.

    The authors saved the model with its LoRA: it has PEFT's names, changed matrices are called
    base_layer, and the two small matrices of each change lie beside them. A folder without LoRA has
    the names of transformers' LLaVA instead.
    """

    prefix: str
    changed: frozenset[str]
    rank: int
    base: str

    def published(self, name: str) -> str:
        """The name in the checkpoint of the tensor called `name` in a plain Llama."""
        *parts, last = name.split(".")
        base = self.base if len(parts) > 1 and parts[-1] in self.changed else ""
        return f"{self.prefix}{'.'.join(parts)}{base}.{last}"

    def lora(self, name: str) -> tuple[str, str] | None:
        """The names of the two LoRA tensors that change tensor `name`, or None."""
        *parts, last = name.split(".")
        if last != "weight" or len(parts) < 2 or parts[-1] not in self.changed:
            return None
        stem = f"{self.prefix}{'.'.join(parts)}"
        return f"{stem}.lora_A.default.weight", f"{stem}.lora_B.default.weight"


def naming(tensors: Mapping[str, Tensor]) -> Naming:
    """The naming that these tensors follow."""
    lora = {name: match for name in tensors if (match := _LORA.search(name))}
    ranks = [
        tensors[name].shape[0]
        for name, match in lora.items()
        if match[2] == "A" and tensors[name].shape
    ]
    return Naming(
        _PEFT if any(name.startswith(_PEFT) for name in tensors) else _PLAIN,
        frozenset(match[1] for match in lora.values()),
        ranks[0] if ranks else 0,
        _BASE if any(f"{_BASE}." in name for name in tensors) else "",
    )


def text_config(config: Mapping[str, Any]) -> Any:
    """The configuration of the language model, a Llama. Raises ValueError if unsupported."""
    given = _object(config, "text_config")
    if given.get("model_type", "llama") != "llama":
        raise ValueError(f"the language model is {str(given['model_type'])[:40]}, not llama")
    return llama_config(given)


def vision_config(config: Mapping[str, Any]) -> Any:
    """The configuration of the image tower, a CLIP. Raises ValueError."""
    return clip_config(VISION | dict(_object(config, "vision_config")))


def _object(config: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = config.get(key)
    if value is not None and not isinstance(value, dict):
        raise ValueError(f"{key} is no object")
    return value or {}


def expected(text: Any, vision: Any, names: Naming) -> Shapes:
    """All tensors that a checkpoint must hold, from the configs of its two halves."""
    shapes: Shapes = {}
    for name, shape in llama_tensors(text):
        shapes[names.published(name)] = shape
        if pair := names.lora(name):
            shapes |= {pair[0]: (names.rank, shape[1]), pair[1]: (shape[0], names.rank)}
    shapes |= {f"vision_tower.{name}": shape for name, shape in clip_tensors(vision)}
    return shapes | dict(projector_tensors(PROJECTOR, vision, text))


class MergedWeights(Weights):
    """Weights with LoRA merged in as they are read: W + alpha / rank · B · A.

    A merged matrix is a copy in memory, not a map of the file.
    """

    def __init__(self, weights: Weights, names: Naming, alpha: float) -> None:
        super().__init__(weights.folder)
        self._scale = np.float32(alpha / names.rank)
        self._base = names.base

    def arrays(self, names: Sequence[str]) -> list[NDArray[Any]]:
        arrays = super().arrays(names)
        for number, name in enumerate(names):
            stem = name.removesuffix(".weight").removesuffix(self._base)
            pair = [f"{stem}.lora_{letter}.default.weight" for letter in "AB"]
            if pair[0] in self.tensors:
                down, up = (array.astype(np.float32) for array in super().arrays(pair))
                arrays[number] = np.asarray(arrays[number], np.float32) + self._scale * (up @ down)
        return arrays


def merged(weights: Weights, names: Naming, alpha: float) -> Weights:
    """The weights with their LoRA merged, or `weights` itself if it has none."""
    return MergedWeights(weights, names, alpha) if names.rank else weights


@dataclass(frozen=True)
class PllavaRunOptions(RunOptions):
    """How PLLaVA is run. `pooling` is (frames, rows, columns); None means (`frames`, 12, 12).

    The authors caption with a `lora_alpha` of 4; they trained with 32.
    """

    frames: int = 4
    pooling: tuple[int, int, int] | None = None
    system: str = SYSTEM
    lora_alpha: float = 4.0


class Pllava(FolderCaptioner[PllavaRunOptions]):
    """A captioner from a published folder of PLLaVA. Raises BadModel, NoDevice, PackageMissing.

    The seed's rule picks the frames of a clip that has more than the model sees.
    """

    stage = "pllava"
    Options = PllavaRunOptions
    vocabulary: Vocabulary

    def check_weights(self, weights: Weights) -> Weights:
        folder, config = weights.folder, weights.config
        self._names = naming(weights.tensors)
        self._text, self._vision = text_config(config), vision_config(config)
        needed = expected(self._text, self._vision, self._names)
        if config.get("vision_feature_select_strategy", "default") != "default":
            raise ValueError("vision_feature_select_strategy must be default")
        self._skipped = skipped_layers(config, "vision_feature_layer", self._vision)
        unread = position_ids(self._vision).items()
        allowed = {f"vision_tower.{name}": shape for name, shape in unread}
        weights.check(needed, "PLLaVA", allowed)
        self.vocabulary = Vocabulary(folder)
        self.image_id = int(config.get("image_token_index", 32000))
        self.end_ids = {self.vocabulary.id(END)}
        if self.vocabulary.id(IMAGE) != self.image_id:
            why = f"{IMAGE} has another number in its tokenizer than in its config"
            raise BadModel(path=folder, why=why)
        if max(self.end_ids) >= self._text.vocab_size:
            raise BadModel(path=folder, why="its tokenizer has more words than its vocab_size")
        return merged(weights, self._names, self.options.lora_alpha)

    def build(self, loader: Loader) -> None:
        vision, rename = self._vision, self._names.published
        self.side, self._grid = vision.image_size, vision.image_size // vision.patch_size
        prefix = "vision_tower.vision_model."
        self._tower = PatchTower(loader, vision, prefix, self._skipped, self.options.frames)
        self._project = Projector(loader, PROJECTOR)
        head = rename("lm_head.weight")
        self.decoder = Decoder(loader, "llama", self._text, "model.", head, rename)

    def choose_frames(self, clip: SpanShape) -> Pick:
        """The frames by the seed's rule, decoded no larger than the model uses them."""
        shorter, size = min(clip.width, clip.height), None
        if shorter > SHORTER:
            size = clip.width * SHORTER // shorter, clip.height * SHORTER // shorter
        return Pick(frame_indices(clip.num_frames, self.options.frames), size)

    def beginnings(self, clips: Sequence[Frames], prompt: str) -> list[Beginning]:
        ids = self.ids(prompt)
        at = ids.index(self.image_id)
        parts = ids[:at], ids[at + 1 :]
        return [conversation(self.decoder, parts, [self.features(clip)]) for clip in clips]

    def answer(self, text: str) -> str:
        return text.split(ASSISTANT)[-1].strip()

    def conversation(self, prompt: str) -> str:
        """The text that the language model continues."""
        system = f"{self.options.system} " if self.options.system else ""
        return f"{system}{USER}{IMAGE} {prompt} {ASSISTANT}"

    def ids(self, prompt: str) -> list[int]:
        """The tokens of the conversation.

        Raises StageError if the prompt contains <image>, which would stand for no picture.
        """
        ids = self.vocabulary.ids(self.conversation(prompt))
        if ids.count(self.image_id) != 1:
            why = f"{IMAGE} must not be in a prompt or system text"
            raise StageError(stage=self.stage, why=why)
        return ids

    def features(self, clip: Frames) -> Floats:
        """A clip as embeddings for the language model: (tokens, width)."""
        count = self.options.frames
        chosen = clip[frame_indices(len(clip), count)] if len(clip) > count else clip
        if len(chosen) < count:
            chosen = chosen.repeat(count // len(chosen) + 1, axis=0)[:count]
        states = self._tower.states(np.stack([pixels(frame, self.side) for frame in chosen]))
        pooling = self.options.pooling or (count, 12, 12)
        with device_errors(self.loader.device):
            hidden = self._project(states).reshape((count, self._grid, self._grid, -1))
            pooled = pool(hidden, pooling, self.loader).astype(self.loader.ms.float32)
            features: Floats = pooled.asnumpy()
        return features
