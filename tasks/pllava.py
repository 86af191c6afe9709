"""Captions by PLLaVA, as in version 1 of the seed: the stage `pllava`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from curate.tasks.captioners import prompts
from curate.tasks.captioners.stages import ModelOptions, ModelStage
from curate.tasks.models.model_cache import cached_model
from curate.tasks.stage import Storable

if TYPE_CHECKING:
    from curate.tasks.captioners.pllava import Pllava


class PllavaOptions(ModelOptions):
    """Options of `pllava`."""

    model: Storable = Field(
        "pllava-7b", min_length=1, description="folder of a PLLaVA: a name or a path"
    )
    prompt: str = Field(prompts.PLLAVA, min_length=1, description="what is asked about each clip")
    frames: int = Field(4, ge=1, le=64, description="frames of a clip, evenly spread")
    lora_alpha: float = Field(
        4, ge=0, le=1024, description="weight of the checkpoint's LoRA; it was trained at 32"
    )


class PllavaStage(ModelStage[PllavaOptions]):
    """Captions by PLLaVA on MindSpore. The folder is used as it was published."""

    name = "pllava"
    kind = "pllava"
    frames_word = prompts.IMAGE
    Options = PllavaOptions

    def captioner_of(self, folder: Path) -> Pllava:
        """The captioner in a folder, loaded once a process."""
        from curate.tasks.captioners.pllava import Pllava, PllavaRunOptions

        options = self.options
        run_options = PllavaRunOptions(
            options.frames,
            lora_alpha=options.lora_alpha,
            batch=options.pass_size,
            sampling=self.sampling(),
        )
        return cached_model(
            Pllava, folder, self.context.settings.device, options.dtype, run_options
        )
