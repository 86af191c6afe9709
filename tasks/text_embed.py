"""Embeds the text of a clip: the stage `text_embed`."""

from __future__ import annotations

from typing import Any

from curate.tasks.models.catalog import TEXT_MODEL, Need, folder_of
from curate.tasks.models.onnx_session import check_onnx_runtime
from curate.tasks.models.tokenizer_file import check_tokenizers
from curate.tasks.stage import Clip, Column, Field, Outcome, Rows, Stage, StageOptions, Storable


class TextEmbed(Stage[Clip, "TextEmbed.Options"]):
    """The embedding of the column `text` by all-MiniLM-L6-v2, into the table `embeddings`.

    It tells which clips have texts that say the same, for `concept` and `semantic_dedup` after it;
    it knows no pictures, so no match and no search reads it. The model reads English, and of a long
    text the first 256 tokens. A clip without a text gets no embedding. Put the stage after
    `clean_text`. About 0.02 CPU seconds a text of 60 words, on ONNX Runtime.
    """

    name = "text_embed"
    level = "clip"
    writes = ("embeddings",)
    columns = {
        "text_embed_tokens": Column(
            "int",
            "tokens of the text as all-MiniLM-L6-v2 counts them, with both marks; of more than 256 "
            "the rest is not read; NULL without a text",
            2,
        )
    }

    class Options(StageOptions):
        """Options of `text_embed`."""

        model: Storable = Field(
            TEXT_MODEL, min_length=1, description="folder of all-MiniLM-L6-v2: a name or a path"
        )

    @classmethod
    def check(cls, options: StageOptions) -> None:
        """Raise PackageMissing without ONNX Runtime or tokenizers."""
        check_onnx_runtime("stage text_embed")
        check_tokenizers("stage text_embed")

    @classmethod
    def models(cls, options: Any) -> tuple[Need, ...]:
        """all-MiniLM-L6-v2."""
        return (Need("minilm", options.model),)

    def load(self) -> None:
        """Load the network. Raises BadModel, PackageMissing."""
        from curate.tasks.models.minilm import minilm

        folder = folder_of(self.options.model, self.context.settings.model_folder)
        self._network = minilm(folder)

    def run(self, row: Clip) -> Outcome:
        """The embedding of one clip's text; those of an earlier text go."""
        text = str(row["text"] or "").strip()
        rows: list[dict[str, Any]] = []
        tokens = None
        if text:
            sentence = self._network.embed(text)
            tokens = sentence.tokens
            rows = [
                {
                    "frame": 0, "position": 0.0, "revision": self._network.revision,
                    "vector": sentence.vector.astype("<f2").tobytes(),
                }
            ]  # fmt: skip
        own = Rows("embeddings", {"model": self.options.model}, rows)
        return Outcome({"text_embed_tokens": tokens}, tables=[own])
