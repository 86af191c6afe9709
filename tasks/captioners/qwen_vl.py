"""What Qwen2-VL, Qwen2.5-VL and Qwen3-VL share: folders, the image tower, clips in a conversation.

The differences are in qwen2_vl.py, qwen2_5_vl.py and qwen3_vl.py.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import numpy as np

from curate.configs.errors import BadModel
from curate.configs.row_errors import StageError
from curate.tasks.captioners import prompts
from curate.tasks.captioners.folder_captioner import FolderCaptioner, RunOptions
from curate.tasks.captioners.language_model import Decoder, Floats, Ints, Loader, rotary_speeds
from curate.tasks.captioners.qwen_frames import (
    MERGE,
    PAIR,
    PATCH,
    PixelBounds,
    frame_indices,
    patch_positions,
    patches,
    resized,
    token_positions,
    windows,
)
from curate.tasks.captioners.vocabulary import Vocabulary
from curate.tasks.captioners.writing import Beginning
from curate.tasks.models import checkpoint, mindone_light
from curate.tasks.models.device import device_errors
from curate.tasks.models.layouts import Shape, Shapes, linear, size
from curate.tasks.models.weights import Weights
from curate.tasks.video.span import Pick, SpanShape

if TYPE_CHECKING:
    from curate.tasks.captioners.interface import Frames

Family = Literal["qwen2_vl", "qwen2_5_vl", "qwen3_vl"]
QUESTION = prompts.QWEN
SYSTEM = "You are a helpful assistant."
VIDEO = prompts.VIDEO
_ENDS = ("<|im_end|>", "<|endoftext|>")
TEXT_SIZES = (
    "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "vocab_size",
)  # fmt: skip
LARGEST = 1 << 20  # of any size in a config
_TOKEN = MERGE * MERGE  # patches per token


def language_tensors(
    text: Any, prefix: str, *, bias: bool = True, norms: bool = False
) -> Iterator[tuple[str, Shape]]:
    """Names and shapes of a language model without its head.

    Those before Qwen3 have biases of queries, keys and values, Qwen3 has norms of queries and keys.
    """
    width, inner = text.hidden_size, text.intermediate_size
    side = getattr(text, "head_dim", None) or width // text.num_attention_heads
    queries, keys = side * text.num_attention_heads, side * text.num_key_value_heads
    yield f"{prefix}embed_tokens.weight", (text.vocab_size, width)
    for number in range(text.num_hidden_layers):
        layer = f"{prefix}layers.{number}"
        for part, outputs in (("q", queries), ("k", keys), ("v", keys)):
            yield from linear(f"{layer}.self_attn.{part}_proj", width, outputs, bias=bias)
        yield from linear(f"{layer}.self_attn.o_proj", queries, width, bias=False)
        for part in "qk" if norms else "":
            yield f"{layer}.self_attn.{part}_norm.weight", (side,)
        yield from linear(f"{layer}.mlp.gate_proj", width, inner, bias=False)
        yield from linear(f"{layer}.mlp.up_proj", width, inner, bias=False)
        yield from linear(f"{layer}.mlp.down_proj", inner, width, bias=False)
        yield f"{layer}.input_layernorm.weight", (width,)
        yield f"{layer}.post_attention_layernorm.weight", (width,)
    yield f"{prefix}norm.weight", (width,)


def patch_tensors(width: int) -> Iterator[tuple[str, Shape]]:
    """Names and shapes of the tower's layer that reads patches."""
    yield "visual.patch_embed.proj.weight", (width, 3, PAIR, PATCH, PATCH)


def merger_tensors(width: int, outputs: int) -> Iterator[tuple[str, Shape]]:
    """Names and shapes of the layers that merge four patches into one token."""
    four = _TOKEN * width
    yield "visual.merger.ln_q.weight", (width,)
    yield from linear("visual.merger.mlp.0", four, four)
    yield from linear("visual.merger.mlp.2", four, outputs)


def generation(
    folder: Path, vocabulary: Vocabulary, penalty: float | None
) -> tuple[set[int], float]:
    """The end marks and the repetition penalty.

    Read from generation_config.json, if it has them; a `penalty` goes before its own. Raises
    BadModel.
    """
    file = folder / "generation_config.json"
    given: dict[str, Any] = checkpoint.read_config(file) if file.is_file() else {}
    ends = given.get("eos_token_id", [vocabulary.id(end) for end in _ENDS])
    ends = ends if isinstance(ends, list) else [ends]
    penalty = given.get("repetition_penalty", 1.0) if penalty is None else penalty
    numbers = all(type(end) is int for end in ends) and isinstance(penalty, int | float)
    if not numbers or penalty <= 0:
        raise BadModel(path=file, why="eos_token_id or repetition_penalty is no number")
    return set(ends), float(penalty)


def patch_rotary(loader: Loader, positions: Ints, side: int) -> tuple[Any, Any]:
    """Cosine and sine (n, side) that turn patches at these rows and columns (2, n), as tensors.

    `side` is the width of a head.
    """
    angles = positions.astype(np.float32)[..., None] * rotary_speeds(side // 2, 10_000)
    angles = np.concatenate([*angles, *angles], axis=1)  # rows, columns, and both again
    return loader.tensor(np.cos(angles)), loader.tensor(np.sin(angles))


class QwenTower:
    """The image tower: turns patches into token embeddings for the language model.

    It processes two frames at a time. Patches attend only to their own two frames, so a clip needs
    no more memory than two of its frames.
    """

    def __init__(
        self,
        loader: Loader,
        config: Any,
        width: int,
        block: Callable[[], Any],
        merger: Callable[[], Any],
        window: int = 0,
    ) -> None:
        """`block` and `merger` create mindone's cells.

        `window` is the side of a window in tokens; 0 means that patches attend to their whole
        frame.
        """
        config._attn_implementation = "eager"
        self._loader, self._config, self._width, self._window = loader, config, width, window
        self._blocks = [
            loader.cell(block, f"visual.blocks.{number}.") for number in range(config.depth)
        ]
        self._merger = loader.cell(merger, "visual.merger.")
        # a convolution without overlapping windows is a matrix product with each patch
        (projection,) = loader.tensors(["visual.patch_embed.proj.weight"])
        self._projection = projection.reshape((width, -1))

    def see(self, patches: Floats, grid: tuple[int, int, int]) -> Floats:
        """Embeddings (tokens, width) of patches from `qwen_frames.patches`, four to a token."""
        pairs, rows, columns = grid
        order, counts = windows(rows // MERGE, columns // MERGE, self._window or max(rows, columns))
        positions = patch_positions(rows, columns).reshape(2, -1, _TOKEN)[:, order]
        side = self._width // self._config.num_heads
        rotary = patch_rotary(self._loader, positions.reshape(2, -1), side)
        ends = np.cumsum([0, *counts]) * _TOKEN
        back = np.argsort(order)
        seen = []
        for frame in patches.reshape(pairs, rows * columns, -1):
            ordered = frame.reshape(-1, _TOKEN, frame.shape[1])[order]
            seen.append(self._see_pair(ordered.reshape(rows * columns, -1), rotary, ends)[back])
        return np.concatenate(seen)

    def _see_pair(self, patches: Floats, rotary: tuple[Any, Any], ends: Ints) -> Floats:
        """Embeddings of the patches of two frames, ordered by windows that end at `ends`."""
        ms = self._loader.ms
        whole = np.array([0, ends[-1]])
        with device_errors(self._loader.device):
            pixels = self._loader.tensor(patches)
            hidden = ms.ops.MatMul(transpose_b=True)(pixels, self._projection)
            for number, block in enumerate(self._blocks):
                inside = self._window and number not in self._config.fullatt_block_indexes
                bounds = ends if inside else whole
                # Qwen2-VL's blocks slice with them, Qwen2.5-VL's subtract them
                lengths = bounds if self._window else bounds.tolist()
                hidden = block(hidden, cu_seqlens=lengths, position_embeddings=rotary)
            seen: Floats = self._merger(hidden).astype(ms.float32).asnumpy()
        return seen


class Tower(Protocol):
    """Turns patches into token embeddings for the language model."""

    def see(self, patches: Floats, grid: tuple[int, int, int]) -> Floats:
        """Embeddings (tokens, width) of patches from `qwen_frames.cut`, four to a token."""
        ...


@dataclass(frozen=True)
class QwenRunOptions(RunOptions):
    """How Qwen-VL is run: frames per second of a clip, and bounds of their pixels.

    A `repetition_penalty` of None means that of the folder's generation_config.json.
    """

    fps: float = 4.0
    pixels: PixelBounds = field(default_factory=PixelBounds)
    system: str = SYSTEM
    repetition_penalty: float | None = None


class QwenVl(FolderCaptioner[QwenRunOptions]):
    """A captioner from a published folder. Raises BadModel, NoDevice, PackageMissing."""

    family: ClassVar[Family]
    config_class: ClassVar[str]  # in transformers
    vision_sizes: ClassVar[tuple[str, ...]]  # required in vision_config
    patch_side: ClassVar[int] = PATCH  # pixels
    prefix: ClassVar[str] = "model."  # of the language model's tensors
    Options = QwenRunOptions
    vocabulary: Vocabulary

    @classmethod
    def configuration(cls, config: Mapping[str, Any]) -> Any:
        """The configuration as transformers reads it. Raises ValueError if it is not supported."""
        if config.get("model_type") != cls.family:
            model_type = str(config.get("model_type"))[:40]
            raise ValueError(f"model_type is {model_type}, not {cls.family}")
        given, given_vision = config.get("text_config", config), config.get("vision_config")
        if not isinstance(given, dict) or not isinstance(given_vision, dict):
            raise ValueError("text_config or vision_config is no object")
        for keys, sizes in ((TEXT_SIZES, given), (cls.vision_sizes, given_vision)):
            for key in keys:
                size(sizes, key, None, LARGEST)
        made = getattr(mindone_light.transformers(), cls.config_class)(**config)
        text, vision = made.text_config, made.vision_config
        rope = text.rope_scaling or {}
        kind = rope.get("type", rope.get("rope_type"))
        if kind not in ("mrope", "default") or getattr(text, "use_sliding_window", False):
            raise ValueError("only rope_scaling of type mrope and no sliding window are supported")
        side = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
        if 2 * sum(rope.get("mrope_section") or []) != side:
            raise ValueError("mrope_section does not add up to half of a head")
        colours = getattr(vision, "in_channels", 3)
        patch = vision.patch_size, vision.spatial_merge_size, vision.temporal_patch_size, colours
        if patch != (cls.patch_side, MERGE, PAIR, 3):
            raise ValueError(
                f"patches must be of {cls.patch_side} x {cls.patch_side} pixels, 2 frames and "
                "3 colours, and 2 x 2 of them a word"
            )
        return made

    @classmethod
    def expected(cls, config: Any) -> Shapes:
        """All tensors that a checkpoint must hold."""
        text = config.text_config
        newer = cls.family == "qwen3_vl"
        shapes = dict(language_tensors(text, cls.prefix, bias=not newer, norms=newer))
        shapes[cls.head(config)] = (text.vocab_size, text.hidden_size)
        return shapes | dict(cls.tower_tensors(config.vision_config))

    @classmethod
    def head(cls, config: Any) -> str:
        """The name of the tensor that maps states to scores; small models reuse embeddings."""
        tied = config.tie_word_embeddings
        return f"{cls.prefix}embed_tokens.weight" if tied else "lm_head.weight"

    @staticmethod
    @abstractmethod
    def tower_tensors(vision: Any) -> Iterator[tuple[str, Shape]]:
        """Names and shapes of the image tower."""

    @abstractmethod
    def load_tower(self, loader: Loader, vision: Any) -> Tower:
        """The image tower with its weights."""

    def pair_step(self) -> float:
        """The distance in time positions between two pairs of frames."""
        return 1.0

    def check_weights(self, weights: Weights) -> Weights:
        self.config = self.configuration(weights.config)
        weights.check(self.expected(self.config), self.family)
        self.vocabulary = Vocabulary(weights.folder)
        self.video_id = self.vocabulary.id(VIDEO)
        if self.video_id != self.config.video_token_id:
            why = f"{VIDEO} has another number in its tokenizer than in its config"
            raise BadModel(path=weights.folder, why=why)
        given = self.options.repetition_penalty
        self.end_ids, self.repetition_penalty = generation(weights.folder, self.vocabulary, given)
        return weights

    def build(self, loader: Loader) -> None:
        config = self.config
        self.tower = self.load_tower(loader, config.vision_config)
        self.decoder = Decoder(
            loader, self.family, config.text_config, self.prefix, self.head(config)
        )

    def choose_frames(self, clip: SpanShape) -> Pick:
        """The frames at the rate of the options, in the size that the model sees.

        Raises StageError.
        """
        fps = self.options.fps
        indices = frame_indices(clip.num_frames, clip.fps or fps, fps)
        rows, columns = self._resized(clip.height, clip.width, len(indices))
        return Pick(indices, (columns, rows))

    def _resized(self, height: int, width: int, frames: int) -> tuple[int, int]:
        """Rows and columns of each of `frames` frames. Raises StageError."""
        try:
            return resized(height, width, self.options.pixels.of(frames))
        except ValueError as error:
            raise StageError(stage=self.stage, why=error) from None

    def beginnings(self, clips: Sequence[Frames], prompt: str) -> list[Beginning]:
        return [self.beginning(clip, prompt) for clip in clips]

    def beginning(self, clip: Frames, prompt: str) -> Beginning:
        """The conversation with the clip in it.

        Raises StageError if the prompt contains the placeholder of a clip.
        """
        ids = self.asked(prompt)
        at = ids.index(self.video_id)
        before, after = ids[:at], ids[at + 1 :]
        frames, height, width = clip.shape[:3]
        self._resized(height, width, frames)  # a frame that `patches` rejects fails only its clip
        cut, grid = patches(clip, self.options.pixels)
        seen = self.tower.see(cut, grid)
        embed = self.decoder.embed
        embedded = np.concatenate([embed(before), seen, embed(after)])
        positions, following = token_positions(at, grid, len(after), self.pair_step())
        return Beginning(
            embedded, positions, following, [*before, *[self.video_id] * len(seen), *after]
        )

    def asked(self, prompt: str) -> list[int]:
        """The tokens of the conversation; the clip is one of them.

        Raises StageError if the prompt contains the placeholder of a clip.
        """
        ids = self.vocabulary.ids(self.conversation(prompt))
        if ids.count(self.video_id) != 1:
            why = f"{VIDEO} must not be in a prompt or system text"
            raise StageError(stage=self.stage, why=why)
        return ids

    def conversation(self, prompt: str) -> str:
        """The text that the language model continues; the clip is one token of it."""
        given = self.options.system
        system = f"<|im_start|>system\n{given}<|im_end|>\n" if given else ""
        user = f"<|im_start|>user\n<|vision_start|>{VIDEO}<|vision_end|>{prompt}<|im_end|>\n"
        return f"{system}{user}<|im_start|>assistant\n"
