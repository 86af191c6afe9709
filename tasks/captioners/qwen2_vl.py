"""Qwen2-VL, the captioner of the seed's successor: 4 frames a second, at most 448 x 672 pixels."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from curate.tasks.captioners.language_model import Loader
from curate.tasks.captioners.qwen_frames import MERGE
from curate.tasks.captioners.qwen_vl import (
    QUESTION,
    QwenRunOptions,
    QwenTower,
    QwenVl,
    merger_tensors,
    patch_tensors,
)
from curate.tasks.models.layouts import Shape, linear

__all__ = ["QUESTION", "Qwen2Vl", "QwenRunOptions"]


class Qwen2Vl(QwenVl):
    """A captioner from a folder of Qwen2-VL-2B, 7B or 72B-Instruct.

    Raises BadModel, NoDevice, PackageMissing.
    """

    family = stage = "qwen2_vl"
    config_class = "Qwen2VLConfig"
    vision_sizes = ("depth", "embed_dim", "hidden_size", "num_heads", "mlp_ratio")

    @staticmethod
    def tower_tensors(vision: Any) -> Iterator[tuple[str, Shape]]:
        width, inner = vision.embed_dim, int(vision.embed_dim * vision.mlp_ratio)
        yield from patch_tensors(width)
        for number in range(vision.depth):
            block = f"visual.blocks.{number}"
            for norm in ("norm1", "norm2"):
                yield f"{block}.{norm}.weight", (width,)
                yield f"{block}.{norm}.bias", (width,)
            yield from linear(f"{block}.attn.qkv", width, 3 * width)
            yield from linear(f"{block}.attn.proj", width, width)
            yield from linear(f"{block}.mlp.fc1", width, inner)
            yield from linear(f"{block}.mlp.fc2", inner, width)
        yield "visual.merger.ln_q.bias", (width,)
        yield from merger_tensors(width, vision.hidden_size)

    def load_tower(self, loader: Loader, vision: Any) -> QwenTower:
        module, width = loader.family_module(self.family), vision.embed_dim
        block = partial(module.Qwen2VLVisionBlock, vision, "eager")
        merger = partial(module.PatchMerger, vision.hidden_size, width, MERGE)
        return QwenTower(loader, vision, width, block, merger)
