"""The image towers of Qwen2-VL and Qwen2.5-VL: mindone's blocks, two frames of a clip at a time.

No patch looks at other frames than its own two, so a clip needs no more memory than two of its
frames.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curate.tasks.captioners.language import Floats, Loader
from curate.tasks.captioners.qwen_frames import MERGE, PATCH, patch_places, windows
from curate.tasks.captioners.qwen_layout import Family
from curate.tasks.models.device import device_errors

_WORD = MERGE * MERGE  # patches


class Tower:
    """Patches to what the language model sees in the place of words."""

    def __init__(self, loader: Loader, family: Family, config: Any) -> None:
        module = loader.module(family)
        config._attn_implementation = "eager"
        self._loader, self._config = loader, config
        if family == "qwen2_vl":
            self._width = config.embed_dim
            block = partial(module.Qwen2VLVisionBlock, config, "eager")
            merger = partial(module.PatchMerger, config.hidden_size, self._width, MERGE)
        else:
            self._width = config.hidden_size
            block = partial(module.Qwen2_5_VLVisionBlock, config)
            merger = partial(
                module.Qwen2_5_VLPatchMerger, config.out_hidden_size, self._width, MERGE
            )
        self._blocks = [
            loader.built(block, f"visual.blocks.{number}.") for number in range(config.depth)
        ]
        self._merger = loader.built(merger, "visual.merger.")
        # a convolution whose windows do not overlap is a product with each patch
        self._projection = loader.tensors(["visual.patch_embed.proj.weight"])[0].reshape(
            (self._width, -1)
        )
        self._window = config.window_size // PATCH // MERGE if family == "qwen2_5_vl" else 0

    def see(self, patches: Floats, grid: tuple[int, int, int]) -> Floats:
        """What is seen (words, width) in patches of `qwen_frames.patches`, four of them a word."""
        _, rows, columns = grid
        order, counts = windows(rows // MERGE, columns // MERGE, self._window or max(rows, columns))
        places = patch_places(rows, columns).reshape(2, -1, _WORD)[:, order].reshape(2, -1)
        turns = tuple(self._loader.tensor(t) for t in self._turns(places))
        ends = np.cumsum([0, *counts]) * _WORD
        frames = patches.reshape(grid[0], rows * columns, -1)
        found = [
            self._frame(frame.reshape(-1, _WORD, frame.shape[1])[order], turns, ends)
            for frame in frames
        ]
        return np.concatenate([seen[np.argsort(order)] for seen in found])

    def _frame(self, patches: Floats, turns: tuple[Any, ...], ends: NDArray[np.int64]) -> Floats:
        ms = self._loader.ms
        whole = np.array([0, ends[-1]])
        with device_errors(self._loader.device):
            pixels = self._loader.tensor(patches.reshape(int(ends[-1]), -1))
            hidden = ms.ops.MatMul(transpose_b=True)(pixels, self._projection)
            for number, block in enumerate(self._blocks):
                inside = self._window and number not in self._config.fullatt_block_indexes
                bounds = (
                    ends if inside else whole
                )  # the older blocks slice by them, the newer ones subtract
                hidden = block(
                    hidden,
                    cu_seqlens=bounds if self._window else bounds.tolist(),
                    position_embeddings=turns,
                )
            found: Floats = self._merger(hidden).astype(ms.float32).asnumpy()
        return found

    def _turns(self, places: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """Cosines and sines (patches, width of a head) of the rows and columns of patches."""
        half = self._width // self._config.num_heads // 2
        speeds = np.float32(1) / np.power(
            np.float32(10_000), np.arange(0, half, 2, dtype=np.float32) / np.float32(half)
        )
        angles = np.concatenate(
            [place.astype(np.float32)[:, None] * speeds for place in places], axis=1
        )
        angles = np.concatenate([angles, angles], axis=1)
        return np.cos(angles), np.sin(angles)
