"""Qwen3-VL: time stamps between its frames, and what its tower sees on the way is shown deeper too.

Processing follows the Qwen3VLVideoProcessor and Qwen3VLProcessor of transformers 4.57.1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from curate.configs.row_errors import StageError
from curate.tasks.captioners.language_model import Bools, Floats, Ints, Loader
from curate.tasks.captioners.qwen_frames import (
    FEWEST,
    LONGEST,
    MERGE,
    MOST,
    PAIR,
    cut,
    normalised,
    patch_positions,
)
from curate.tasks.captioners.qwen_vl import (
    QUESTION,
    VIDEO,
    QwenRunOptions,
    QwenVl,
    patch_rotary,
)
from curate.tasks.captioners.resizing import resize
from curate.tasks.captioners.writing import Beginning
from curate.tasks.models.device import device_errors
from curate.tasks.models.layouts import Shape, linear
from curate.tasks.video.span import Pick, SpanShape
from curate.tasks.video.timed_pictures import seconds_of

if TYPE_CHECKING:
    from curate.tasks.captioners.interface import Frames

__all__ = ["QUESTION", "Qwen3RunOptions", "Qwen3Vl"]

SIDE = 16  # pixels per patch side
_GREY = (0.5, 0.5, 0.5)  # mean and deviation of colours
_TOTAL = 4096, 24_576 * 32 * 32  # pixels of a clip, fewest and most
_VISION = "model.visual."


@dataclass(frozen=True)
class Qwen3RunOptions(QwenRunOptions):
    """As for Qwen2-VL, but frames of a clip share only an upper bound, `pixels.largest`."""

    fps: float = 2.0
    system: str = ""


class Qwen3Vl(QwenVl):
    """A captioner from a folder of Qwen3-VL-2B, 4B, 8B or 32B-Instruct; not of those with experts.

    Raises BadModel, NoDevice, PackageMissing.
    """

    family = stage = "qwen3_vl"
    config_class = "Qwen3VLConfig"
    vision_sizes = (
        "depth",
        "hidden_size",
        "intermediate_size",
        "num_heads",
        "out_hidden_size",
        "num_position_embeddings",
    )
    patch_side = SIDE
    prefix = "model.language_model."
    Options = Qwen3RunOptions

    @classmethod
    def configuration(cls, config: Mapping[str, Any]) -> Any:
        made = super().configuration(config)
        vision = made.vision_config
        layers = vision.deepstack_visual_indexes
        whole = isinstance(layers, list) and all(type(layer) is int for layer in layers)
        if not whole or not all(0 <= layer < vision.depth for layer in layers):
            raise ValueError("deepstack_visual_indexes must be layers of the image tower")
        if len(layers) > made.text_config.num_hidden_layers:
            raise ValueError("deepstack_visual_indexes are more than layers of the language model")
        if math.isqrt(vision.num_position_embeddings) ** 2 != vision.num_position_embeddings:
            raise ValueError("num_position_embeddings must be a square")
        if vision.out_hidden_size != made.text_config.hidden_size:
            raise ValueError("out_hidden_size must be the hidden_size of the language model")
        return made

    @staticmethod
    def tower_tensors(vision: Any) -> Iterator[tuple[str, Shape]]:
        width, inner = vision.hidden_size, vision.intermediate_size
        yield f"{_VISION}patch_embed.proj.weight", (width, 3, PAIR, SIDE, SIDE)
        yield f"{_VISION}patch_embed.proj.bias", (width,)
        yield f"{_VISION}pos_embed.weight", (vision.num_position_embeddings, width)
        norms: dict[str, int] = {}
        four = MERGE * MERGE * width
        for number in range(vision.depth):
            block = f"{_VISION}blocks.{number}"
            norms |= {f"{block}.norm1": width, f"{block}.norm2": width}
            yield from linear(f"{block}.attn.qkv", width, 3 * width)
            yield from linear(f"{block}.attn.proj", width, width)
            yield from linear(f"{block}.mlp.linear_fc1", width, inner)
            yield from linear(f"{block}.mlp.linear_fc2", inner, width)
        deeper = [f"deepstack_merger_list.{n}" for n in range(len(vision.deepstack_visual_indexes))]
        for merger in ("merger", *deeper):
            norms[f"{_VISION}{merger}.norm"] = width if merger == "merger" else four
            yield from linear(f"{_VISION}{merger}.linear_fc1", four, four)
            yield from linear(f"{_VISION}{merger}.linear_fc2", four, vision.out_hidden_size)
        for name, size in norms.items():
            yield f"{name}.weight", (size,)
            yield f"{name}.bias", (size,)

    def load_tower(self, loader: Loader, vision: Any) -> Qwen3Tower:
        return Qwen3Tower(loader, loader.family_module(self.family), vision)

    def choose_frames(self, clip: SpanShape) -> Pick:
        fps = clip.fps or self.options.fps
        indices = frame_indices(clip.num_frames, fps, self.options.fps)
        rows, columns = self._resized(clip.height, clip.width, len(indices))
        return Pick(indices, (columns, rows), [index / fps for index in indices])

    def _resized(self, height: int, width: int, frames: int) -> tuple[int, int]:
        try:
            return resized(frames, height, width, self.options.pixels.largest)
        except ValueError as error:
            raise StageError(stage=self.stage, why=error) from None

    def beginning(self, clip: Frames, prompt: str) -> Beginning:
        self.asked(prompt)
        patches, grid = self.patches(clip)
        stamps = stamps_of(seconds_of(clip, self.options.fps))
        rows, columns = grid[1] // MERGE, grid[2] // MERGE
        ids = self.vocabulary.ids(self.stamped(prompt, stamps, rows * columns))
        of_clip = np.array(ids) == self.video_id
        positions, following = stamped_positions(of_clip, rows, columns)
        seen = self.tower.see(patches, grid)
        shown = [self.decoder.embed(ids)]
        width = shown[0].shape[1]
        shown += [np.zeros_like(shown[0]) for _ in range(width, seen.shape[1], width)]
        for states, part in zip(shown, np.split(seen, len(shown), axis=1), strict=True):
            states[of_clip] = part
        return Beginning(shown[0], positions, following, ids, shown[1:])

    def patches(self, clip: Frames) -> tuple[Floats, tuple[int, int, int]]:
        """Patches of a clip and their grid, as from `qwen_frames.cut`. Raises StageError."""
        frames, height, width = clip.shape[:3]
        size = self._resized(height, width, frames)
        return cut(normalised(resize(clip, *size), _GREY, _GREY), SIDE)

    def stamped(self, prompt: str, stamps: Sequence[float], tokens: int) -> str:
        """The conversation with `tokens` tokens of the clip after each time stamp, in seconds."""
        clip = "".join(
            f"<{stamp:.1f} seconds><|vision_start|>{VIDEO * tokens}<|vision_end|>"
            for stamp in stamps
        )
        asked = self.conversation(prompt)
        return asked.replace(f"<|vision_start|>{VIDEO}<|vision_end|>", clip, 1)


class Qwen3Tower:
    """The image tower: turns patches into token embeddings for the language model.

    It processes two frames at a time, which attend only to themselves.
    """

    def __init__(self, loader: Loader, module: Any, config: Any) -> None:
        config._attn_implementation = "eager"
        self._loader, self._config = loader, config
        self._blocks = [
            loader.cell(partial(module.Qwen3VLVisionBlock, config), f"{_VISION}blocks.{number}.")
            for number in range(config.depth)
        ]
        merger = module.Qwen3VLVisionPatchMerger
        self._merger = loader.cell(partial(merger, config), f"{_VISION}merger.")
        self._deeper = {
            layer: loader.cell(
                partial(merger, config, use_postshuffle_norm=True),
                f"{_VISION}deepstack_merger_list.{number}.",
            )
            for number, layer in enumerate(config.deepstack_visual_indexes)
        }
        names = [f"{_VISION}patch_embed.proj.{part}" for part in ("weight", "bias")]
        weight, self._bias = loader.tensors(names)
        # a convolution without overlapping windows is a matrix product with each patch
        self._projection = weight.reshape((config.hidden_size, -1))
        (self._places,) = loader.weights.arrays([f"{_VISION}pos_embed.weight"])

    def see(self, patches: Floats, grid: tuple[int, int, int]) -> Floats:
        """Embeddings of patches from `qwen_frames.cut`, four to a token: (tokens, width · n).

        First what the language model reads, then what is added to its first layers, one by one.
        """
        pairs, rows, columns = grid
        side = self._config.hidden_size // self._config.num_heads
        rotary = patch_rotary(self._loader, patch_positions(rows, columns), side)
        places = self._loader.tensor(learned_positions(self._places, rows, columns))
        frames = patches.reshape(pairs, rows * columns, -1)
        return np.concatenate([self._see_pair(frame, places, rotary) for frame in frames])

    def _see_pair(self, patches: Floats, places: Any, rotary: tuple[Any, Any]) -> Floats:
        """Embeddings of the patches of two frames."""
        ms = self._loader.ms
        ends = np.array([0, len(patches)])
        deeper = []
        with device_errors(self._loader.device):
            pixels = self._loader.tensor(patches)
            hidden = ms.ops.MatMul(transpose_b=True)(pixels, self._projection) + self._bias + places
            for number, block in enumerate(self._blocks):
                hidden = block(hidden, cu_seqlens=ends, position_embeddings=rotary)
                if number in self._deeper:
                    deeper.append(self._deeper[number](hidden))
            seen = [self._merger(hidden), *deeper]
            return np.concatenate([part.astype(ms.float32).asnumpy() for part in seen], axis=1)


def frame_indices(count: int, fps: float, target_fps: float) -> list[int]:
    """Indices of `count` frames that make `fps` into `target_fps`, from the first to the last.

    At least 4 if there are as many, at most 768.
    """
    number = min(max(int(count / fps * target_fps), FEWEST), MOST, count)
    return [int(n) for n in np.linspace(0, count - 1, number).round()]


def resized(frames: int, height: int, width: int, largest: int) -> tuple[int, int]:
    """Rows and columns of each of `frames` frames: multiples of 32 pixels.

    The aspect ratio is kept as far as possible. A frame has at most about `largest` pixels, and the
    clip 4,096 to 25,165,824. Raises ValueError for a frame whose longer side is more than 200 times
    the shorter.
    """
    if max(height, width) / min(height, width) > LONGEST:
        raise ValueError(
            f"a frame of {width} x {height} is too long for Qwen-VL: "
            f"at most {LONGEST} times its width"
        )
    factor, frames = SIDE * MERGE, max(frames, PAIR)
    fewest, most = _TOTAL[0], min(_TOTAL[1], largest * frames)
    fits = fewest <= frames * height * width <= most
    if fits and height % factor == width % factor == 0:
        return height, width  # chosen before: an odd count would be rounded twice
    even = round(frames / PAIR) * PAIR
    rows, columns = round(height / factor) * factor, round(width / factor) * factor
    if even * rows * columns > most:
        shrink = math.sqrt(frames * height * width / most)
        rows, columns = (math.floor(side / shrink / factor) * factor for side in (height, width))
    elif even * rows * columns < fewest:
        grow = math.sqrt(fewest / (frames * height * width))
        rows, columns = (math.ceil(side * grow / factor) * factor for side in (height, width))
    return max(rows, factor), max(columns, factor)


def stamps_of(seconds: Sequence[float]) -> list[float]:
    """The time stamp of each pair of frames, the mean of both; the last frame fills a pair."""
    paired = [*seconds, *seconds[-1:]] if len(seconds) % PAIR else list(seconds)
    return [(paired[n] + paired[n + 1]) / 2 for n in range(0, len(paired), PAIR)]


def stamped_positions(of_clip: Bools, rows: int, columns: int) -> tuple[Ints, int]:
    """Positions (3: time, row, column) of tokens, and the first one after them.

    `of_clip` marks those of a clip, `rows` x `columns` for each pair of frames, with text around.
    """
    positions = np.empty((3, len(of_clip)), np.int64)
    pair = np.indices((1, rows, columns)).reshape(3, -1)
    at = following = 0
    for start in (*np.flatnonzero(of_clip)[:: rows * columns], len(of_clip)):
        positions[:, at:start] = np.arange(following, following + start - at)
        following += start - at
        at = start + rows * columns
        if start < len(of_clip):
            positions[:, start:at] = following + pair
            following += max(rows, columns)
    return positions, int(following)


def learned_positions(table: NDArray[np.float32], rows: int, columns: int) -> Floats:
    """The position embedding (rows · columns, width) of each patch, in the order of `cut`.

    `table` (side · side, width) is for a square; between its points it is interpolated linearly.
    """
    side = math.isqrt(len(table))
    spread: Any = table.reshape(side, side, -1)
    for axis, count in ((0, rows), (1, columns)):
        points = np.linspace(0, side - 1, count, dtype=np.float32)
        low = points.astype(np.int64)
        high = np.minimum(low + 1, side - 1)
        share: Floats = (
            (points - low).astype(np.float32).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        )
        spread = (1 - share) * spread.take(low, axis) + share * spread.take(high, axis)
    row, column = patch_positions(rows, columns)
    return np.ascontiguousarray(spread[row, column], np.float32)
