"""InternVL 2.5, 3 and 3.5, in the layout of transformers, with a language model of Qwen's.

Processing follows the InternVLProcessor of transformers 4.57.1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from curate.configs.errors import BadModel
from curate.configs.row_errors import StageError
from curate.tasks.captioners import prompts
from curate.tasks.captioners.folder_captioner import FolderCaptioner, RunOptions
from curate.tasks.captioners.language_model import Decoder, Floats, Loader
from curate.tasks.captioners.qwen_frames import normalised
from curate.tasks.captioners.qwen_vl import LARGEST, TEXT_SIZES, generation, language_tensors
from curate.tasks.captioners.resizing import resize
from curate.tasks.captioners.vocabulary import Vocabulary
from curate.tasks.captioners.writing import Beginning
from curate.tasks.models import mindone_light
from curate.tasks.models.device import device_errors
from curate.tasks.models.layouts import Shape, Shapes, linear, size
from curate.tasks.models.weights import Weights
from curate.tasks.video.span import Pick, SpanShape

if TYPE_CHECKING:
    from curate.tasks.captioners.interface import Frames

TILE = prompts.TILE
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's colours
_VISION_SIZES = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
_TOGETHER = 4  # tiles in one pass of the tower
_SQUARE = 2  # patches on a token's side


@dataclass(frozen=True)
class InternVlRunOptions(RunOptions):
    """How InternVL is run: frames of a clip, and tiles of a single one at most."""

    frames: int = 8
    tiles: int = 12
    system: str = ""
    repetition_penalty: float | None = None


@dataclass(frozen=True)
class Names:
    """How a checkpoint names its parts: as transformers published it at first, or writes it now."""

    language: str
    head: str
    rest: str


OLDER = Names("language_model.model.", "language_model.lm_head.weight", "")
NEWER = Names("model.language_model.", "lm_head.weight", "model.")


class InternVl(FolderCaptioner[InternVlRunOptions]):
    """A captioner from a folder such as InternVL3-8B-hf. Raises BadModel, NoDevice, PackageMissing.

    Its language model must be a Qwen2 or Qwen3 without experts.
    """

    stage = "internvl"
    Options = InternVlRunOptions
    vocabulary: Vocabulary

    @staticmethod
    def configuration(config: Mapping[str, Any]) -> Any:
        """The configuration as transformers reads it. Raises ValueError if it is not supported."""
        if config.get("model_type") != "internvl":
            model_type = str(config.get("model_type"))[:40]
            raise ValueError(
                f"model_type is {model_type}, not internvl: "
                "the folder must be one for transformers, as OpenGVLab/InternVL3-8B-hf"
            )
        given, vision = config.get("text_config"), config.get("vision_config")
        if not isinstance(given, dict) or not isinstance(vision, dict):
            raise ValueError("text_config or vision_config is no object")
        for keys, sizes in ((TEXT_SIZES, given), (_VISION_SIZES, vision)):
            for key in keys:
                size(sizes, key, None, LARGEST)
        if given.get("model_type") not in ("qwen2", "qwen3"):
            family = str(given.get("model_type"))[:40]
            raise ValueError(f"its language model is {family}; only qwen2 and qwen3 are supported")
        made = mindone_light.transformers().InternVLConfig(**config)
        _check(made, made.vision_config, made.text_config)
        return made

    @staticmethod
    def expected(config: Any, names: Names) -> Shapes:
        """All tensors that a checkpoint must hold."""
        text = config.text_config
        newer = text.model_type == "qwen3"
        shapes = dict(language_tensors(text, names.language, bias=not newer, norms=newer))
        shapes[head(config, names)] = (text.vocab_size, text.hidden_size)
        return shapes | dict(tower_tensors(config, names.rest))

    def check_weights(self, weights: Weights) -> Weights:
        self.config = self.configuration(weights.config)
        newer = any(name.startswith(NEWER.language) for name in weights.tensors)
        self.names = NEWER if newer else OLDER
        weights.check(self.expected(self.config, self.names), self.stage)
        self.vocabulary = Vocabulary(weights.folder)
        self.tile_id = self.vocabulary.id(TILE)
        if self.tile_id != self.config.image_token_id:
            why = f"{TILE} has another number in its tokenizer than in its config"
            raise BadModel(path=weights.folder, why=why)
        given = self.options.repetition_penalty
        self.end_ids, self.repetition_penalty = generation(weights.folder, self.vocabulary, given)
        return weights

    def build(self, loader: Loader) -> None:
        text = self.config.text_config
        self.tower = InternTower(loader, self.config, self.names.rest)
        self.decoder = Decoder(
            loader, text.model_type, text, self.names.language, head(self.config, self.names)
        )

    def choose_frames(self, clip: SpanShape) -> Pick:
        """The middles of equal parts of the clip, as squares; a single frame as it is."""
        count = min(self.options.frames, clip.num_frames)
        step = clip.num_frames / count
        side = self.config.vision_config.image_size[0]
        size = (side, side) if count > 1 else None
        return Pick([int(step / 2 + number * step) for number in range(count)], size)

    def beginnings(self, clips: Sequence[Frames], prompt: str) -> list[Beginning]:
        return [self.beginning(clip, prompt) for clip in clips]

    def beginning(self, clip: Frames, prompt: str) -> Beginning:
        """The conversation with the clip in it.

        Raises StageError if the prompt contains the placeholder of a tile, or the clip is too long.
        """
        tiles = self.tiles(clip)
        ids = self.vocabulary.ids(self.conversation(prompt, len(clip), len(tiles)))
        of_clip = np.array(ids) == self.tile_id
        if of_clip.sum() != len(tiles) * self.config.image_seq_length:
            raise StageError(stage=self.stage, why=f"{TILE} must not be in a prompt or system text")
        most = self.config.text_config.max_position_embeddings
        if len(ids) > most:
            raise StageError(stage=self.stage, why=f"{len(ids)} tokens of at most {most}")
        embedded = self.decoder.embed(ids)
        embedded[of_clip] = self.tower.see(tiles)
        return Beginning(embedded, np.arange(len(ids))[None], len(ids), ids)

    def tiles(self, clip: Frames) -> Floats:
        """What the tower sees of a clip: squares (n, side, side, 3), normalised.

        Each frame is one; a single frame is cut into tiles, and is there as a whole besides.
        """
        side = self.config.vision_config.image_size[0]
        squares = resize(clip, side, side)
        if len(clip) == 1:
            columns, rows = tiling(clip.shape[1], clip.shape[2], side, self.options.tiles)
            if rows * columns > 1:
                cut = resize(clip, rows * side, columns * side)
                parts = cut.reshape(rows, side, columns, side, 3).swapaxes(1, 2)
                squares = np.concatenate([parts.reshape(-1, side, side, 3), squares])
        return normalised(squares, _MEAN, _DEVIATION)

    def conversation(self, prompt: str, frames: int, tiles: int) -> str:
        """The text that the language model continues, with the placeholders of all tiles."""
        given = self.options.system
        system = f"<|im_start|>system\n{given}<|im_end|>\n" if given else ""
        seen = TILE * self.config.image_seq_length
        if frames == 1:
            clip = f"<img>{seen * tiles}</img>"
        else:
            clip = "\n".join(f"Frame{n}: <img>{seen}</img>" for n in range(1, frames + 1))
        return f"{system}<|im_start|>user\n{clip}\n{prompt}<|im_end|>\n<|im_start|>assistant\n"


def _check(config: Any, vision: Any, text: Any) -> None:
    """Raise ValueError for what a config may say and this module does not do."""
    side, patch = vision.image_size[0], vision.patch_size[0]
    shape = {*vision.image_size}, {*vision.patch_size}, vision.num_channels
    if shape != ({side}, {patch}, 3):
        raise ValueError("pictures and patches must be squares of 3 colours")
    if side % (patch * _SQUARE) or config.downsample_ratio != 1 / _SQUARE:
        raise ValueError("2 x 2 patches must be a word")
    if config.image_seq_length != (side // patch // _SQUARE) ** 2:
        raise ValueError("image_seq_length does not follow from image_size and patch_size")
    if (config.vision_feature_layer, config.vision_feature_select_strategy) != (-1, "default"):
        raise ValueError("only the last layer of the image tower, without its class, is supported")
    if vision.use_mask_token or not vision.use_absolute_position_embeddings:
        raise ValueError("the image tower must have position embeddings and no mask_token")
    rope = text.rope_scaling or {}
    if rope.get("rope_type", rope.get("type", "default")) not in ("default", "dynamic"):
        raise ValueError("only rope_scaling of type dynamic is supported")
    if text.use_sliding_window:
        raise ValueError("use_sliding_window is not supported")


def head(config: Any, names: Names) -> str:
    """The name of the tensor that maps states to scores; small models reuse their embeddings."""
    tied = config.text_config.tie_word_embeddings
    return f"{names.language}embed_tokens.weight" if tied else names.head


def tower_tensors(config: Any, prefix: str) -> Iterator[tuple[str, Shape]]:
    """Names and shapes of the image tower and of the projector behind it."""
    vision, outputs = config.vision_config, config.text_config.hidden_size
    width, inner, tower = vision.hidden_size, vision.intermediate_size, f"{prefix}vision_tower."
    side, patch = vision.image_size[0], vision.patch_size[0]
    yield f"{tower}embeddings.cls_token", (1, 1, width)
    yield f"{tower}embeddings.position_embeddings", (1, (side // patch) ** 2 + 1, width)
    yield f"{tower}embeddings.patch_embeddings.projection.weight", (width, 3, patch, patch)
    yield f"{tower}embeddings.patch_embeddings.projection.bias", (width,)
    for number in range(vision.num_hidden_layers):
        layer = f"{tower}encoder.layer.{number}"
        for part in "qkv":
            bias = vision.attention_bias
            yield from linear(f"{layer}.attention.{part}_proj", width, width, bias=bias)
        for part in "qk" if vision.use_qk_norm else "":
            yield f"{layer}.attention.{part}_norm.weight", (width,)
        yield from linear(f"{layer}.attention.projection_layer", width, width)
        yield from linear(f"{layer}.mlp.fc1", width, inner)
        yield from linear(f"{layer}.mlp.fc2", inner, width)
        for part in ("before", "after"):
            yield f"{layer}.layernorm_{part}.weight", (width,)
            if vision.norm_type == "layer_norm":
                yield f"{layer}.layernorm_{part}.bias", (width,)
        yield f"{layer}.lambda_1", (width,)
        yield f"{layer}.lambda_2", (width,)
    norms = {f"{prefix}multi_modal_projector.layer_norm": _SQUARE**2 * width}
    if not vision.use_mean_pooling:
        norms[f"{tower}layernorm"] = width
    for name, count in norms.items():
        yield f"{name}.weight", (count,)
        yield f"{name}.bias", (count,)
    yield from linear(f"{prefix}multi_modal_projector.linear_1", _SQUARE**2 * width, outputs)
    yield from linear(f"{prefix}multi_modal_projector.linear_2", outputs, outputs)


class InternTower:
    """The image tower and its projector: turn tiles into token embeddings."""

    def __init__(self, loader: Loader, config: Any, prefix: str) -> None:
        module, vision = loader.family_module("internvl"), config.vision_config
        config._attn_implementation = vision._attn_implementation = "eager"
        self._loader, tower = loader, f"{prefix}vision_tower."
        embeddings = partial(module.InternVLVisionEmbeddings, vision)
        self._embeddings = loader.cell(embeddings, f"{tower}embeddings.")
        self._layers = [
            loader.cell(partial(module.InternVLVisionLayer, vision), f"{tower}encoder.layer.{n}.")
            for n in range(vision.num_hidden_layers)
        ]
        if not vision.use_mean_pooling:
            norm = partial(loader.ms.nn.LayerNorm, (vision.hidden_size,), epsilon=1e-6)
            self._layers.append(loader.cell(norm, f"{tower}layernorm."))
        projector = partial(module.InternVLMultiModalProjector, config)
        self._projector = loader.cell(projector, f"{prefix}multi_modal_projector.")

    def see(self, tiles: Floats) -> Floats:
        """Embeddings (tokens, width) of tiles (n, side, side, 3), 2 x 2 patches to a token."""
        ms = self._loader.ms
        seen = []
        for first in range(0, len(tiles), _TOGETHER):
            some = np.ascontiguousarray(tiles[first : first + _TOGETHER].transpose(0, 3, 1, 2))
            with device_errors(self._loader.device):
                hidden, (rows, columns) = self._embeddings(self._loader.tensor(some))
                for layer in self._layers:
                    hidden = layer(hidden)
                    hidden = hidden[0] if isinstance(hidden, tuple) else hidden
                squares = hidden[:, 1:].reshape(
                    (len(some), rows // _SQUARE, _SQUARE, columns // _SQUARE, _SQUARE, -1)
                )
                squares = ms.ops.transpose(squares, (0, 1, 3, 2, 4, 5))
                tokens = squares.reshape((-1, squares.shape[-1] * _SQUARE**2))
                seen.append(self._projector(tokens).astype(ms.float32).asnumpy())
        return np.concatenate(seen)


def tiling(height: int, width: int, side: int, most: int) -> tuple[int, int]:
    """Columns and rows of the tiles of a picture: `most` at most, as nearly of its form as may be.

    Of grids of one form the largest is taken that has less than twice the pixels of the picture.
    """
    grids = [(c, r) for c in range(1, most + 1) for r in range(1, most // c + 1)]
    best, least = (1, 1), float("inf")
    for columns, rows in sorted(grids, key=lambda grid: grid[0] * grid[1]):
        difference = abs(width / height - columns / rows)
        larger = width * height > 0.5 * side * side * columns * rows
        if difference < least or (difference == least and larger):
            best, least = (columns, rows), difference
    return best
