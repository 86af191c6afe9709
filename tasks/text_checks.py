"""Looks for what is wrong with a clip's text: the stage `text_checks`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

from pydantic import Field

from curate.configs.schema import Column, StageOptions
from curate.tasks.models.catalog import Need, folder_of
from curate.tasks.models.onnx_session import check_onnx_runtime
from curate.tasks.models.tokenizer_file import check_tokenizers
from curate.tasks.stage import Clip, Scorer, Scores, Storable
from curate.tasks.text.captions import TABLE, is_whole
from curate.tasks.text.checks import (
    agreement,
    filler,
    first_person,
    is_refusal,
    is_unfinished,
    leaks_prompt,
    repeated_share,
    times_in_a_row,
    words_in_order,
)


class TextChecksOptions(StageOptions):
    """Options of `text_checks`."""

    batch_size: int = Field(1024, ge=1, le=4096, description="rows claimed by one task")
    agreement_model: Storable | None = Field(
        None,
        min_length=1,
        description="folder of all-MiniLM-L6-v2, for text_agreement_cosine; null: not measured",
    )


class TextChecks(Scorer[TextChecksOptions]):
    """Measures of `text` to filter captions by: loops, refusals, leaked prompts, cut ends, filler.

    They go by words, in English, Chinese, Japanese, Spanish, French and German; what a clip really
    shows they do not know. Put the stage after `clean_text`.
    """

    name = "text_checks"
    Options = TextChecksOptions
    reads = (TABLE,)
    may_lack = (TABLE,)
    columns = {
        "text_repeated": Column(
            "float",
            "share of words in phrases of four words (eight Chinese or kana characters) that the "
            "text has before",
            0,
            1,
            "lower",
        ),
        "text_loop": Column(
            "int", "how often one phrase stands in a row; 1: none is repeated", 1, None, "lower"
        ),
        "text_unfinished": Column("int", "1 when the end of the text is missing", 0, 1, "lower"),
        "text_refusal": Column(
            "int", "1 when the captioner says that it cannot describe the clip", 0, 1, "lower"
        ),
        "text_leak": Column(
            "int",
            "1 when the text holds words of its prompt, of a chat template or to a user",
            0,
            1,
            "lower",
        ),
        "text_filler": Column(
            "int", "phrases that talk of the video, such as: in this video", 0, None, "lower"
        ),
        "text_first_person": Column("int", "words such as I, we and our", 0, None, "lower"),
        "text_ttr": Column(
            "float", "type-token ratio: different words / words; long texts have less", 0, 1
        ),
        "text_agreement": Column(
            "float",
            "how far the models' captions name the same things: Dice's measure of their words, "
            "mean of all pairs; NULL with one caption",
            0,
            1,
            "higher",
        ),
        "text_agreement_cosine": Column(
            "float",
            "how far the models' captions say the same: cosine of their embeddings by "
            "agreement_model, mean of all pairs; NULL with one caption or without the model",
            -1,
            1,
            "higher",
        ),
    }

    @classmethod
    def check(cls, options: Any) -> None:
        """Raise PackageMissing without what `agreement_model` is run by."""
        if options.agreement_model:
            check_onnx_runtime("text_checks.agreement_model")
            check_tokenizers("text_checks.agreement_model")

    @classmethod
    def models(cls, options: Any) -> tuple[Need, ...]:
        """all-MiniLM-L6-v2, where `agreement_model` names it."""
        return (Need("minilm", options.agreement_model),) if options.agreement_model else ()

    def load(self) -> None:
        """Load the network, if there is one. Raises BadModel, PackageMissing."""
        if self.options.agreement_model:
            from curate.tasks.models.minilm import minilm

            settings = self.context.settings
            self._network = minilm(folder_of(self.options.agreement_model, settings.model_folder))

    def score(self, clip: Clip) -> Scores:
        """The measures of the text; all NULL without one."""
        text = str(clip["text"] or "").strip()
        words = words_in_order(text)
        if not words:
            return dict.fromkeys(self.columns)
        newest = {row["model"]: row for row in clip.tables[TABLE] if is_whole(row)}
        prompt = newest.get(clip.values.get("text_model"), {}).get("prompt") or ""
        captions = [str(row["text"] or row["text_raw"]) for row in newest.values()]
        return {
            "text_repeated": repeated_share(words),
            "text_loop": times_in_a_row(words),
            "text_unfinished": int(is_unfinished(text)),
            "text_refusal": int(is_refusal(text)),
            "text_leak": int(leaks_prompt(text, prompt)),
            "text_filler": filler(text),
            "text_first_person": first_person(text),
            "text_ttr": len(set(words)) / len(words),
            "text_agreement": agreement(captions),
            "text_agreement_cosine": self._cosine(captions),
        }

    def _cosine(self, captions: Sequence[str]) -> float | None:
        told = [caption for caption in captions if caption.strip()]
        if not self.options.agreement_model or len(told) < 2:
            return None
        vectors = [self._network.embed(caption).vector for caption in told]
        cosines = [float(a @ b) for a, b in combinations(vectors, 2)]
        # rounding takes equal texts past 1
        return min(max(sum(cosines) / len(cosines), -1.0), 1.0)
