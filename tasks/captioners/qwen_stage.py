"""What the stages of Qwen-VL share: options, and how the captioner is created.

Stage files import this module; the captioner itself is imported when it is created.
"""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pydantic import Field

from curate.tasks.captioners import prompts
from curate.tasks.captioners.stages import ModelOptions, ModelStage
from curate.tasks.models.model_cache import cached_model

if TYPE_CHECKING:
    from curate.tasks.captioners.qwen_vl import QwenVl


class QwenOptions(ModelOptions):
    """Options of these stages. A subclass adds the `model`."""

    prompt: str = Field(prompts.QWEN, min_length=1, description="what is asked about each clip")
    frames_a_second: float = Field(
        4, gt=0, le=60, description="frames of a second of a clip; 4 of a clip at least"
    )
    largest: int = Field(448 * 672, ge=28 * 28, le=1 << 24, description="pixels of a frame at most")


QwenOptionsT = TypeVar("QwenOptionsT", bound=QwenOptions)


class QwenStage(ModelStage[QwenOptionsT]):
    """Captions with a Qwen-VL. A subclass names the model."""

    frames_word = prompts.VIDEO

    @abstractmethod
    def captioner_class(self) -> type[QwenVl]:
        """The class of the captioner, imported on first use."""

    def captioner_of(self, folder: Path) -> QwenVl:
        """The captioner of a folder, shared within the process."""
        from curate.tasks.captioners.qwen_frames import PixelBounds

        options, device = self.options, self.context.settings.device
        bounds = PixelBounds(min(PixelBounds.smallest, options.largest), options.largest)
        made = self.captioner_class()
        run_options = made.Options(
            options.frames_a_second, bounds, batch=options.pass_size, sampling=self.sampling()
        )
        return cached_model(made, folder, device, options.dtype, run_options)
