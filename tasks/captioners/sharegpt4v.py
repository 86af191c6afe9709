"""ShareGPT4V: a LLaVA 1.5 trained on long captions of pictures. It sees one or a few frames.

CLIP's image tower and a projector encode each frame, which replaces <image> in a conversation that
a Llama continues. Follows ShareGPT4Omni/ShareGPT4V and reads its two published folders
(Lin-Chen/ShareGPT4V-7B and its image tower) unchanged.

In reading order: which frames and pixels it sees, which tensors its folders hold, the captioner.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from curate.configs.errors import BadModel
from curate.configs.row_errors import StageError
from curate.tasks.captioners import prompts
from curate.tasks.captioners.folder_captioner import FolderCaptioner, RunOptions
from curate.tasks.captioners.language_model import Decoder, Floats, Loader
from curate.tasks.captioners.llava import (
    VISION_SIZES,
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
from curate.tasks.captioners.vocabulary import PieceVocabulary
from curate.tasks.captioners.writing import Beginning
from curate.tasks.models import layouts, preprocess
from curate.tasks.models.checkpoint import CONFIG
from curate.tasks.models.device import check_installed, device_errors
from curate.tasks.models.layouts import Shapes
from curate.tasks.models.verify import (
    MODEL_TYPES,
    PIECES,
    TOWER_TYPES,
    check_type,
    tower_folder,
)
from curate.tasks.models.weights import Weights
from curate.tasks.video.span import Pick, SpanShape

if TYPE_CHECKING:
    from curate.tasks.captioners.interface import Frames

IMAGE, BEGIN, END = prompts.IMAGE, "<s>", "</s>"
QUESTION = prompts.SHAREGPT4V
# the conversation `vicuna_v1`: the model was trained with this system prompt and no other
SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)
PROJECTOR = ("model.mm_projector.0", "model.mm_projector.2")
# how pictures are processed; other values would need other code
_SETTINGS = {
    "mm_projector_type": "mlp2x_gelu", "mm_vision_select_feature": "patch",
    "image_aspect_ratio": "pad", "mm_use_im_start_end": False,
}  # fmt: skip
_DEFAULTS = {"mm_vision_select_feature": "patch", "mm_use_im_start_end": False}
_LLAMA = (
    "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "vocab_size", "hidden_act", "rms_norm_eps", "rope_theta", "rope_scaling",
    "attention_bias", "mlp_bias", "max_position_embeddings",
)  # fmt: skip
_CLIP = (*VISION_SIZES, "hidden_act", "layer_norm_eps")


def frame_indices(count: int, target: int) -> list[int]:
    """Indices of `target` of `count` frames: the middles of equal parts.

    A single index is the middle of the clip.
    """
    if count < 1 or target < 1:
        raise ValueError("count and target must be 1 or more")
    return [(2 * number + 1) * count // (2 * target) for number in range(target)]


def padded(
    frame: NDArray[np.uint8], colour: tuple[float, float, float] = preprocess.CLIP.mean
) -> NDArray[np.uint8]:
    """A frame (h, w, 3) centred in a square of one colour (0 to 1).

    If it cannot be centred exactly, it is placed one pixel nearer to the top or left.
    """
    height, width = frame.shape[:2]
    if height == width:
        return frame
    side = max(height, width)
    square = np.empty((side, side, 3), np.uint8)
    square[:] = [int(part * 255) for part in colour]
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = frame
    return square


def pixels(frame: NDArray[np.uint8], side: int) -> Floats:
    """A frame (h, w, 3) as (3, side, side): padded, resized and normalised.

    The padding has the mean colour of CLIP's training pictures.
    """
    return preprocess.pixels(padded(frame), preprocess.Preprocess(side))


def text_config(config: Mapping[str, Any]) -> Any:
    """The configuration of the language model. Raises ValueError for an unsupported setting."""
    for key, supported in _SETTINGS.items():
        setting = config.get(key, _DEFAULTS.get(key))
        if setting != supported:
            raise ValueError(f"{key} is {str(setting)[:40]}, not {supported}")
    return llama_config({key: config[key] for key in _LLAMA if key in config})


def vision_config(config: Mapping[str, Any]) -> Any:
    """The configuration of the image tower, from the config.json of its folder. Raises ValueError.

    The folder holds a CLIPVisionModel as saved by transformers, or a CLIPModel, of which only the
    vision half is read.
    """
    given = config.get("vision_config", {}) if config.get("model_type") == "clip" else config
    if not isinstance(given, dict):
        raise ValueError("vision_config is no object")
    return clip_config({"num_channels": 3} | {key: given[key] for key in _CLIP if key in given})


def expected(text: Any, vision: Any) -> Shapes:
    """All tensors that the model's folder must hold.

    They have the names of LLaVA 1.5's own code: a plain Llama with `model.mm_projector` in it.
    """
    return {**dict(llama_tensors(text)), **dict(projector_tensors(PROJECTOR, vision, text))}


def unread(text: Any) -> Shapes:
    """Tensors that it may also hold: rotary speeds, which older versions of transformers saved."""
    return {
        f"model.layers.{number}.self_attn.rotary_emb.inv_freq": (text.head_dim // 2,)
        for number in range(text.num_hidden_layers)
    }


def expected_tower(vision: Any) -> Shapes:
    """The tensors that the folder of the image tower must hold."""
    return dict(clip_tensors(vision))


def unread_tower(config: Mapping[str, Any]) -> Shapes:
    """The other half of a CLIPModel. Raises ValueError when its config is wrong."""
    if config.get("model_type") != "clip":
        return {}
    whole = layouts.expected("clip", config) | layouts.optional("clip", config)
    return {name: shape for name, shape in whole.items() if not name.startswith("vision_model.")}


@dataclass(frozen=True)
class ShareGpt4vRunOptions(RunOptions):
    """How ShareGPT4V is run.

    `tower` is the folder of its image tower; None means the one that its config names, beside or in
    its folder. The model was trained with one picture; several `frames` become several pictures of
    the conversation.
    """

    frames: int = 1
    tower: Path | None = None
    system: str = SYSTEM


class ShareGpt4v(FolderCaptioner[ShareGpt4vRunOptions]):
    """A captioner from published folders of ShareGPT4V. Raises BadModel, NoDevice, PackageMissing.

    It sees the middles of equal parts of a clip that has more frames than `frames`.
    """

    stage = "sharegpt4v"
    Options = ShareGpt4vRunOptions
    vocabulary: PieceVocabulary

    def check_weights(self, weights: Weights) -> Weights:
        folder, config = weights.folder, weights.config
        check_installed()
        check_type(weights, MODEL_TYPES)
        self._text = text_config(config)
        self._tower_weights = self._checked_tower(tower_folder(folder, config, self.options.tower))
        self._skipped = skipped_layers(config, "mm_vision_select_layer", self.vision)
        needed = expected(self._text, self.vision)
        weights.check(needed, "ShareGPT4V", unread=unread(self._text))
        self.vocabulary = PieceVocabulary(folder / PIECES)
        self.begin_id, self.end_ids = self.vocabulary.id(BEGIN), {self.vocabulary.id(END)}
        if len(self.vocabulary) > self._text.vocab_size:
            raise BadModel(path=folder, why=f"{PIECES} has more words than its vocab_size")
        both = self.revision + self._tower_weights.revision
        self.revision = hashlib.sha256(both.encode()).hexdigest()[:12]
        return weights

    def _checked_tower(self, folder: Path) -> Weights:
        """The weights of the image tower; sets `vision`, its configuration. Raises BadModel."""
        tower = Weights(folder)
        check_type(tower, TOWER_TYPES)
        try:
            self.vision, other_half = vision_config(tower.config), unread_tower(tower.config)
        except ValueError as error:
            raise BadModel(path=folder / CONFIG, why=str(error)) from None
        needed, allowed = expected_tower(self.vision), position_ids(self.vision)
        tower.check(needed, "an image tower of CLIP", allowed, other_half)
        return tower

    def build(self, loader: Loader) -> None:
        self.side = self.vision.image_size
        tower_loader = loader.for_weights(self._tower_weights)
        self._tower = PatchTower(
            tower_loader, self.vision, "vision_model.", self._skipped, self.options.frames
        )
        self._project = Projector(loader, PROJECTOR)
        self.decoder = Decoder(loader, "llama", self._text, "model.", "lm_head.weight")

    def choose_frames(self, clip: SpanShape) -> Pick:
        """The middle frame, or the middles of equal parts, in display size."""
        return Pick(frame_indices(clip.num_frames, self.options.frames))

    def beginnings(self, clips: Sequence[Frames], prompt: str) -> list[Beginning]:
        parts = self.ids(prompt)
        return [conversation(self.decoder, parts, self.features(clip)) for clip in clips]

    def conversation(self, prompt: str) -> str:
        """The text that the language model continues."""
        system = f"{self.options.system} " if self.options.system else ""
        pictures = f"{IMAGE}\n" * self.options.frames
        return f"{system}USER: {pictures}{prompt} ASSISTANT:"

    def ids(self, prompt: str) -> list[list[int]]:
        """The tokens before, between and after the pictures of the conversation.

        Each part is tokenized on its own. Raises StageError if the prompt contains <image>, which
        would stand for no picture.
        """
        parts = self.conversation(prompt).split(IMAGE)
        if len(parts) != self.options.frames + 1:
            why = f"{IMAGE} must not be in a prompt or system text"
            raise StageError(stage=self.stage, why=why)
        first, *others = (self.vocabulary.ids(part) for part in parts)
        return [[self.begin_id, *first], *others]

    def features(self, clip: Frames) -> list[Floats]:
        """Each picture of a clip as embeddings for the language model: (tokens, width)."""
        chosen = clip[frame_indices(len(clip), self.options.frames)]
        states = self._tower.states(np.stack([pixels(frame, self.side) for frame in chosen]))
        with device_errors(self.loader.device):
            features = self._project(states).astype(self.loader.ms.float32).asnumpy()
        return list(features)
