"""How well a clip matches its own text, by CLIP: the stage `match`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from curate.configs.errors import RowError
from curate.configs.schema import Column
from curate.tasks.models.catalog import Need, folder_of
from curate.tasks.score.clip_embed import CLIP, AscendOptions
from curate.tasks.stage import Clip, Outcome, Stage


class MatchOptions(AscendOptions):
    """Options of `match`."""

    model: str = Field(CLIP, min_length=1, description="the model of clip_embed")


class Match(Stage[Clip, MatchOptions]):
    """The CLIP score of a clip and its own text, cut to 77 tokens, from the stored embeddings.

    The text is the column `text`: a caption, or what came with the input. Without a text the score is NULL.
    """

    name = "match"
    level = "clip"
    Options = MatchOptions
    reads = ("embeddings",)
    columns = {
        "match": Column(
            "float", "100 * cosine of the clip's text and its best frame; usually 10 to 35; NULL without a text",
            -100, 100, "higher",
        )
    }  # fmt: skip

    @classmethod
    def models(cls, options: Any) -> tuple[Need, ...]:
        """CLIP."""
        return (Need("clip", options.model),)

    def load(self) -> None:
        """Load the text tower, once a process. Raises BadModel, NoDevice, PackageMissing."""
        from curate.tasks.models.towers import text_tower

        settings = self.context.settings
        folder = folder_of(self.options.model, settings.model_folder)
        self._tower = text_tower(folder, settings.device, self.options.dtype)

    def run(self, row: Clip) -> Outcome:
        """The score of one clip. Raises EmbeddingMissing, OtherEmbeddings."""
        found = self.run_batch([row])[0]
        if isinstance(found, RowError):
            raise found
        return found

    def run_batch(self, rows: Sequence[Clip]) -> list[Outcome | RowError]:
        """The scores; a text that several clips share is embedded once."""
        from curate.tasks.models.embeddings import unit

        texts = list(dict.fromkeys(text for text in map(_text, rows) if text))
        vectors = dict(zip(texts, unit(self._tower.embed(texts)), strict=True))
        return [self._outcome(row, vectors.get(_text(row))) for row in rows]

    def _outcome(self, row: Clip, text: Any) -> Outcome | RowError:
        from curate.tasks.models.embeddings import matching, of_clip

        if text is None:
            return Outcome({"match": None})
        try:
            frames = matching(of_clip(row, self.options.model, self.name), self._tower.revision, self.name)
        except RowError as error:
            return error
        return Outcome({"match": float(self._tower.logit_scale * (frames @ text).max())})


def _text(clip: Clip) -> str:
    return str(clip["text"] or "").strip()
