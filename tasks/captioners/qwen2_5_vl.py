"""Qwen2.5-VL: Qwen2-VL with window attention in its image tower and time-based positions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from curate.tasks.captioners.language_model import Loader
from curate.tasks.captioners.qwen_frames import MERGE, PAIR, PATCH
from curate.tasks.captioners.qwen_vl import (
    QUESTION,
    QwenRunOptions,
    QwenTower,
    QwenVl,
    merger_tensors,
    patch_tensors,
)
from curate.tasks.models.layouts import Shape, linear

__all__ = ["QUESTION", "Qwen25Vl", "QwenRunOptions"]


class Qwen25Vl(QwenVl):
    """A captioner from a folder of Qwen2.5-VL-3B, 7B, 32B or 72B-Instruct.

    Positions in time follow Qwen's own code: seconds times tokens_per_second, rounded down at the
    end. transformers 4.57.1 rounds the seconds first, and so sees no time pass at more than 2
    frames a second. Raises BadModel, NoDevice, PackageMissing.
    """

    family = stage = "qwen2_5_vl"
    config_class = "Qwen2_5_VLConfig"
    vision_sizes = (
        "depth",
        "hidden_size",
        "intermediate_size",
        "num_heads",
        "out_hidden_size",
        "window_size",
    )

    @classmethod
    def configuration(cls, config: Mapping[str, Any]) -> Any:
        made = super().configuration(config)
        if made.vision_config.window_size % (PATCH * MERGE):
            raise ValueError("window_size must be a multiple of 28")
        return made

    @staticmethod
    def tower_tensors(vision: Any) -> Iterator[tuple[str, Shape]]:
        width, inner = vision.hidden_size, vision.intermediate_size
        yield from patch_tensors(width)
        for number in range(vision.depth):
            block = f"visual.blocks.{number}"
            yield f"{block}.norm1.weight", (width,)
            yield f"{block}.norm2.weight", (width,)
            yield from linear(f"{block}.attn.qkv", width, 3 * width)
            yield from linear(f"{block}.attn.proj", width, width)
            yield from linear(f"{block}.mlp.gate_proj", width, inner)
            yield from linear(f"{block}.mlp.up_proj", width, inner)
            yield from linear(f"{block}.mlp.down_proj", inner, width)
        yield from merger_tensors(width, vision.out_hidden_size)

    def load_tower(self, loader: Loader, vision: Any) -> QwenTower:
        module, width = loader.family_module(self.family), vision.hidden_size
        block = partial(module.Qwen2_5_VLVisionBlock, vision)
        merger = partial(module.Qwen2_5_VLPatchMerger, vision.out_hidden_size, width, MERGE)
        return QwenTower(loader, vision, width, block, merger, vision.window_size // PATCH // MERGE)

    def pair_step(self) -> float:
        seconds = PAIR / self.options.fps
        return seconds * float(self.config.vision_config.tokens_per_second)
