"""How good a clip looks, by LAION's predictor on CLIP: the stage `aesthetic`."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from curate.configs.schema import Column, StageOptions
from curate.tasks.models.catalog import CLIP_MODEL, Need, folder_of
from curate.tasks.stage import Clip, Scorer, Scores


class AestheticOptions(StageOptions):
    """Options of `aesthetic`."""

    batch_size: int = Field(256, ge=1, le=4096, description="rows claimed by one task")
    model: str = Field(
        CLIP_MODEL,
        min_length=1,
        description="the model of clip_embed; the predictor was trained on ViT-L/14",
    )
    head: str = Field(
        "aesthetic-l14", min_length=1, description="folder of the predictor: a name or a path"
    )


class Aesthetic(Scorer[AestheticOptions]):
    """LAION's aesthetic predictor v2, mean over the embedded frames.

    It reads the stored embeddings and runs in NumPy.
    """

    name = "aesthetic"
    Options = AestheticOptions
    reads = ("embeddings",)
    columns = {
        "aes": Column(
            "float",
            "aesthetic score, mean over the frames; usually 1 to 10: 4.5 is fair, 5.5 good, "
            "6.5 fine",
            better="higher",
        )
    }

    @classmethod
    def models(cls, options: Any) -> tuple[Need, ...]:
        """The predictor."""
        return (Need("aesthetic", options.head),)

    def load(self) -> None:
        """Read the predictor. Raises BadModel."""
        from curate.tasks.models.heads import aesthetic_head

        model_folder = self.context.settings.model_folder
        self._head = aesthetic_head(folder_of(self.options.head, model_folder))

    def score(self, clip: Clip) -> Scores:
        """The mean score of the frames. Raises EmbeddingMissing."""
        scores = self._head.frame_scores(clip, self.options.model, self.name)
        return {"aes": float(scores.mean())}
