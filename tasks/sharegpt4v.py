"""Captions by ShareGPT4V: the stage `sharegpt4v`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from curate.tasks.captioners import prompts
from curate.tasks.captioners.stages import ModelOptions, ModelStage
from curate.tasks.models.catalog import Need, tower_of
from curate.tasks.models.checkpoint import CONFIG, read_config
from curate.tasks.models.model_cache import cached_model
from curate.tasks.models.verify import tower_folder
from curate.tasks.stage import Storable

if TYPE_CHECKING:
    from curate.tasks.captioners.sharegpt4v import ShareGpt4v


class ShareGpt4vOptions(ModelOptions):
    """Options of `sharegpt4v`."""

    model: Storable = Field(
        "ShareGPT4V-7B", min_length=1, description="folder of a ShareGPT4V: a name or a path"
    )
    tower: Storable = Field(
        "",
        description="folder of its image tower: a name or a path; "
        "empty: as its config says, beside the model",
    )
    prompt: str = Field(
        prompts.SHAREGPT4V, min_length=1, description="what is asked about each clip"
    )
    frames: int = Field(
        1,
        ge=1,
        le=6,
        description="frames of a clip, evenly spread; "
        "the model was trained with one: the middle one",
    )


class ShareGpt4vStage(ModelStage[ShareGpt4vOptions]):
    """Captions by ShareGPT4V on MindSpore, of the middle frame.

    Both folders, model and image tower, are used as they were published.
    """

    name = "sharegpt4v"
    kind = "sharegpt4v"
    frames_word = prompts.IMAGE
    Options = ShareGpt4vOptions

    @classmethod
    def models(cls, options: Any) -> tuple[Need, ...]:
        """The captioner and its image tower."""
        return (Need(cls.kind, options.model, options.tower),)

    def captioner_of(self, folder: Path) -> ShareGpt4v:
        """The captioner in a folder, loaded once a process."""
        from curate.tasks.captioners.sharegpt4v import ShareGpt4v, ShareGpt4vRunOptions

        options, settings = self.options, self.context.settings
        (need,) = self.models(options)
        named = tower_of(need, settings.model_folder)
        tower = tower_folder(folder, read_config(folder / CONFIG), named)
        run_options = ShareGpt4vRunOptions(
            options.frames, tower, batch=options.pass_size, sampling=self.sampling()
        )
        device = settings.device
        return cached_model(ShareGpt4v, folder, device, options.dtype, run_options, also=tower)
