"""Qwen2-VL, the captioner of the seed's successor: frames at 4 a second, each of at most 448 x 672
pixels.
"""

from __future__ import annotations

from curate.tasks.captioners.qwen_vl import QUESTION, Options, QwenVl

__all__ = ["QUESTION", "Options", "Qwen2Vl"]


class Qwen2Vl(QwenVl):
    """A captioner from a folder of Qwen2-VL-2B, 7B or 72B-Instruct. Raises BadModel, NoDevice,
    PackageMissing.
    """

    family = stage = "qwen2_vl"
