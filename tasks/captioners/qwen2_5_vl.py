"""Qwen2.5-VL: as Qwen2-VL, but its image tower looks through windows, and it is told how fast time
goes.
"""

from __future__ import annotations

from curate.tasks.captioners.qwen_frames import PAIR
from curate.tasks.captioners.qwen_vl import QUESTION, Options, QwenVl

__all__ = ["QUESTION", "Options", "Qwen25Vl"]


class Qwen25Vl(QwenVl):
    """A captioner from a folder of Qwen2.5-VL-3B, 7B, 32B or 72B-Instruct. Raises BadModel,
    NoDevice, PackageMissing.

    Places in time are those of Qwen's own code: seconds times tokens_per_second, rounded down at
    the end. transformers 4.57.1 rounds the seconds first, and sees no time pass at more than 2
    frames a second.
    """

    family = stage = "qwen2_5_vl"

    def _step(self) -> float:
        return PAIR / self.options.fps * float(self._config.vision_config.tokens_per_second)
