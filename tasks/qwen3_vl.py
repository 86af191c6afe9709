"""Captions by Qwen3-VL: the stage `qwen3_vl`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from curate.tasks.captioners.qwen_stage import QwenOptions, QwenStage
from curate.tasks.stage import Storable

if TYPE_CHECKING:
    from curate.tasks.captioners.qwen3_vl import Qwen3Vl


class Qwen3VlOptions(QwenOptions):
    """Options of `qwen3_vl`."""

    model: Storable = Field(
        "Qwen3-VL-8B-Instruct", min_length=1, description="folder of a Qwen3-VL: a name or a path"
    )
    frames_a_second: float = Field(
        2, gt=0, le=60, description="frames of a second of a clip; 4 of a clip at least"
    )


class Qwen3VlStage(QwenStage[Qwen3VlOptions]):
    """Captions by Qwen3-VL on MindSpore. The folder is used as it was published."""

    name = "qwen3_vl"
    kind = "qwen3_vl"
    Options = Qwen3VlOptions

    def captioner_class(self) -> type[Qwen3Vl]:
        """The captioner of Qwen3-VL."""
        from curate.tasks.captioners.qwen3_vl import Qwen3Vl

        return Qwen3Vl
