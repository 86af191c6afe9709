"""Captions by Qwen2-VL and Qwen2.5-VL: the stages `qwen2_vl` and `qwen2_5_vl`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from curate.tasks.captioners import prompts
from curate.tasks.captioners.model_stage import ModelOptions, ModelStage
from curate.tasks.stage import Storable

if TYPE_CHECKING:
    from curate.tasks.captioners.model_stage import ModelCaptioner


class QwenOptions(ModelOptions):
    """Options of both."""

    prompt: str = Field(prompts.QWEN, min_length=1, description="what is asked about each clip")
    frames_a_second: float = Field(
        4, gt=0, le=60, description="frames of a second of a clip; 4 of a clip at least"
    )
    largest: int = Field(448 * 672, ge=28 * 28, le=1 << 24, description="pixels of a frame at most")


class Qwen2VlOptions(QwenOptions):
    """Options of `qwen2_vl`."""

    model: Storable = Field(
        "Qwen2-VL-7B-Instruct", min_length=1, description="folder of a Qwen2-VL: a name or a path"
    )


class Qwen25VlOptions(QwenOptions):
    """Options of `qwen2_5_vl`."""

    model: Storable = Field(
        "Qwen2.5-VL-7B-Instruct",
        min_length=1,
        description="folder of a Qwen2.5-VL: a name or a path",
    )


class Qwen2VlStage(ModelStage[Qwen2VlOptions]):
    """Captions by Qwen2-VL on MindSpore. The folder is used as it was published."""

    name = "qwen2_vl"
    kind = "qwen2_vl"
    shown = prompts.VIDEO
    Options = Qwen2VlOptions

    def captioner(self, folder: Path) -> ModelCaptioner:
        """The captioner of a folder, shared within the process."""
        from curate.tasks.captioners.qwen2_vl import Qwen2Vl

        return _kept(Qwen2Vl, folder, self)


class Qwen25VlStage(ModelStage[Qwen25VlOptions]):
    """Captions by Qwen2.5-VL on MindSpore. The folder is used as it was published."""

    name = "qwen2_5_vl"
    kind = "qwen2_5_vl"
    shown = prompts.VIDEO
    Options = Qwen25VlOptions

    def captioner(self, folder: Path) -> ModelCaptioner:
        """The captioner of a folder, shared within the process."""
        from curate.tasks.captioners.qwen2_5_vl import Qwen25Vl

        return _kept(Qwen25Vl, folder, self)


def _kept(cls: Any, folder: Path, stage: ModelStage[Any]) -> ModelCaptioner:
    from curate.tasks.captioners.qwen_frames import Pixels
    from curate.tasks.captioners.qwen_vl import Options
    from curate.tasks.models.kept import kept

    options = stage.options
    bounds = Pixels(min(Pixels.smallest, options.largest), options.largest)
    how = Options(
        options.frames_a_second, bounds, batch=options.pass_size, sampling=stage.sampling()
    )
    made: ModelCaptioner = kept(cls, folder, stage.context.settings.device, options.dtype, how)
    return made
