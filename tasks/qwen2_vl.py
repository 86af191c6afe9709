"""Captions by Qwen2-VL: the stage `qwen2_vl`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from curate.tasks.captioners.qwen_stage import QwenOptions, QwenStage
from curate.tasks.stage import Storable

if TYPE_CHECKING:
    from curate.tasks.captioners.qwen2_vl import Qwen2Vl


class Qwen2VlOptions(QwenOptions):
    """Options of `qwen2_vl`."""

    model: Storable = Field(
        "Qwen2-VL-7B-Instruct", min_length=1, description="folder of a Qwen2-VL: a name or a path"
    )


class Qwen2VlStage(QwenStage[Qwen2VlOptions]):
    """Captions by Qwen2-VL on MindSpore. The folder is used as it was published."""

    name = "qwen2_vl"
    kind = "qwen2_vl"
    Options = Qwen2VlOptions

    def captioner_class(self) -> type[Qwen2Vl]:
        """The captioner of Qwen2-VL."""
        from curate.tasks.captioners.qwen2_vl import Qwen2Vl

        return Qwen2Vl
