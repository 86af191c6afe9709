"""Captions by InternVL: the stage `internvl`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from curate.tasks.captioners import prompts
from curate.tasks.captioners.stages import ModelOptions, ModelStage
from curate.tasks.models.model_cache import cached_model
from curate.tasks.stage import Storable

if TYPE_CHECKING:
    from curate.tasks.captioners.internvl import InternVl


class InternVlOptions(ModelOptions):
    """Options of `internvl`."""

    model: Storable = Field(
        "InternVL3-8B-hf", min_length=1, description="folder of an InternVL: a name or a path"
    )
    prompt: str = Field(prompts.INTERNVL, min_length=1, description="what is asked about each clip")
    frames: int = Field(8, ge=1, le=64, description="frames of a clip, evenly spread")
    tiles: int = Field(
        12, ge=1, le=40, description="tiles that a picture, or a single frame, is cut into at most"
    )


class InternVlStage(ModelStage[InternVlOptions]):
    """Captions by InternVL on MindSpore. The folder is used as it was published for transformers.

    Each frame is a square to the model; a picture is seen in tiles and once as a whole.
    """

    name = "internvl"
    kind = "internvl"
    frames_word = prompts.TILE
    Options = InternVlOptions

    def captioner_of(self, folder: Path) -> InternVl:
        """The captioner in a folder, loaded once a process."""
        from curate.tasks.captioners.internvl import InternVl, InternVlRunOptions

        options = self.options
        run_options = InternVlRunOptions(
            options.frames, options.tiles, batch=options.pass_size, sampling=self.sampling()
        )
        device = self.context.settings.device
        return cached_model(InternVl, folder, device, options.dtype, run_options)
