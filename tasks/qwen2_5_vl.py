"""Captions by Qwen2.5-VL: the stage `qwen2_5_vl`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from curate.tasks.captioners.qwen_stage import QwenOptions, QwenStage
from curate.tasks.stage import Storable

if TYPE_CHECKING:
    from curate.tasks.captioners.qwen2_5_vl import Qwen25Vl


class Qwen25VlOptions(QwenOptions):
    """Options of `qwen2_5_vl`."""

    model: Storable = Field(
        "Qwen2.5-VL-7B-Instruct",
        min_length=1,
        description="folder of a Qwen2.5-VL: a name or a path",
    )


class Qwen25VlStage(QwenStage[Qwen25VlOptions]):
    """Captions by Qwen2.5-VL on MindSpore. The folder is used as it was published."""

    name = "qwen2_5_vl"
    kind = "qwen2_5_vl"
    Options = Qwen25VlOptions

    def captioner_class(self) -> type[Qwen25Vl]:
        """The captioner of Qwen2.5-VL."""
        from curate.tasks.captioners.qwen2_5_vl import Qwen25Vl

        return Qwen25Vl
