"""Whether a clip is unsafe to show at work, by LAION's detector on CLIP: the stage `nsfw`."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from curate.configs.schema import Column, StageOptions
from curate.tasks.models.catalog import CLIP_MODEL, Need, folder_of
from curate.tasks.stage import Clip, Scorer, Scores


class NsfwOptions(StageOptions):
    """Options of `nsfw`."""

    batch_size: int = Field(256, ge=1, le=4096, description="rows claimed by one task")
    threshold: float = Field(0.2, ge=0, le=1, description="nsfw is 1 above this score")
    model: str = Field(
        CLIP_MODEL,
        min_length=1,
        description="the model of clip_embed; the detector was trained on ViT-L/14",
    )
    head: str = Field(
        "nsfw-l14", min_length=1, description="folder of the detector: a name or a path"
    )


class Nsfw(Scorer[NsfwOptions]):
    """LAION's CLIP-based NSFW detector, largest score over the embedded frames.

    It reads the stored embeddings and runs in NumPy.
    """

    name = "nsfw"
    Options = NsfwOptions
    reads = ("embeddings",)
    columns = {
        "nsfw": Column("int", "1: nsfw_score is above the threshold; 0: it is not", 0, 1, "lower"),
        "nsfw_score": Column(
            "float", "probability that the clip is unsafe, largest over the frames", 0, 1, "lower"
        ),
    }

    @classmethod
    def models(cls, options: Any) -> tuple[Need, ...]:
        """The detector."""
        return (Need("nsfw", options.head),)

    def load(self) -> None:
        """Read the detector. Raises BadModel."""
        from curate.tasks.models.heads import nsfw_head

        model_folder = self.context.settings.model_folder
        self._head = nsfw_head(folder_of(self.options.head, model_folder))

    def score(self, clip: Clip) -> Scores:
        """The largest score of the frames, and the flag. Raises EmbeddingMissing."""
        score = float(self._head.frame_scores(clip, self.options.model, self.name).max())
        return {"nsfw": int(score > self.options.threshold), "nsfw_score": score}
