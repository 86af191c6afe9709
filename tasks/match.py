"""How well a clip matches its own text, by CLIP: the stage `match`."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from curate.configs.errors import PackageMissing
from curate.configs.packages import install
from curate.configs.row_errors import RowError
from curate.configs.schema import Column
from curate.tasks.models.catalog import CLIP_MODEL, Need, folder_of
from curate.tasks.models.onnx_session import check_queue, device_of
from curate.tasks.stage import BatchStage, Clip, EngineOptions, Outcome
from curate.tasks.text.captions import TABLE, CaptionRow, is_whole, rewritten

# splits after full stops, question and exclamation marks (also Chinese ones) and at line ends
_SENTENCES = re.compile(r"(?<=[.!?])\s+|(?<=[\u3002\uff01\uff1f])|\n+")


class MatchOptions(EngineOptions):
    """Options of `match`."""

    model: str = Field(CLIP_MODEL, min_length=1, description="the model of clip_embed")
    captions: Literal["chosen", "all"] = Field(
        "chosen",
        description="chosen: the clip's text; all: each of its captions, and the best score counts",
    )
    long: Literal["cut", "sentences"] = Field(
        "cut",
        description="cut: the first 77 tokens, as the scripts; "
        "sentences: the score of the best sentence, and match_lowest of the worst",
    )
    repair: bool = Field(
        False,
        description="mend encodings, entities and curly quotes first, as OpenAI's tokenizer does; "
        "needs ftfy",
    )


@dataclass(frozen=True)
class _Text:
    """A text of a clip, in the pieces that are embedded."""

    pieces: Sequence[str]  # empty: nothing to score
    caption: CaptionRow | None = None  # the row of `captions` it comes from


class Match(BatchStage[Clip, MatchOptions]):
    """The CLIP score of a clip and its own text, from the stored embeddings.

    The text is the column `text`: a caption, or what came with the input. Without a text the score
    is NULL. With `captions: all` each caption (cleaned, or as it was written where it is not
    cleaned yet) gets a score of its own in `captions.match`, and clean_text with `source: match`
    chooses by it. That of a window is compared with the frames within it, or else with the nearest
    one, and counts for the clip only where that has no caption of its own. With `long: sentences`
    the text of that best score tells match_lowest, too.
    """

    name = "match"
    level = "clip"
    Options = MatchOptions
    reads = ("embeddings", TABLE)
    may_lack = (TABLE,)
    writes = (TABLE,)
    columns = {
        "match": Column(
            "float",
            "100 * cosine of the clip's text and its best frame; usually 10 to 35; "
            "NULL without a text",
            -100,
            100,
            "higher",
        ),
        "match_lowest": Column(
            "float",
            "as match, of the sentence that fits worst: low where one sentence tells what is not "
            "there; NULL unless long is sentences",
            -100,
            100,
            "higher",
        ),
    }

    @classmethod
    def check(cls, options: Any) -> None:
        """Raise PackageMissing without ftfy for `repair`, or what the queue cpu needs."""
        check_queue(options.queue, cls.name, reads_texts=True)
        if options.repair:
            try:
                import ftfy  # noqa: F401
            except ImportError:
                how = install("ftfy")
                raise PackageMissing(what="match.repair", package="ftfy", install=how) from None

    @classmethod
    def models(cls, options: Any) -> tuple[Need, ...]:
        """The CLIP model."""
        return (Need("clip", options.model),)

    def load(self) -> None:
        """Load the text tower. Raises BadModel, NoDevice, PackageMissing."""
        from curate.tasks.models.towers import text_tower

        settings = self.context.settings
        folder = folder_of(self.options.model, settings.model_folder)
        device = device_of(self.options.queue, settings.device, self.name)
        self._tower = text_tower(folder, device, self.options.dtype)

    def run_batch(self, rows: Sequence[Clip]) -> list[Outcome | RowError]:
        """The scores of the clips; a text that several of them share is embedded once."""
        from curate.tasks.models.embeddings import unit

        texts: list[list[_Text]] = []
        for row in rows:
            if self.options.captions == "chosen":
                texts.append([_Text(self._pieces(row["text"]))])
            else:
                captions = row.tables[TABLE]
                texts.append([_Text(self._pieces(c["text"] or c["text_raw"]), c) for c in captions])
        pieces = list(dict.fromkeys(p for of_row in texts for text in of_row for p in text.pieces))
        vectors = dict(zip(pieces, unit(self._tower.embed(pieces)), strict=True))
        return [
            self._outcome(row, of_row, vectors) for row, of_row in zip(rows, texts, strict=True)
        ]

    def _pieces(self, text: str | None) -> list[str]:
        whole = text or ""
        if self.options.repair:
            import ftfy

            whole = html.unescape(html.unescape(ftfy.fix_text(whole)))
        parts = _SENTENCES.split(whole.strip()) if self.options.long == "sentences" else [whole]
        return [part.strip() for part in parts if part.strip()]

    def _outcome(
        self, row: Clip, texts: Sequence[_Text], vectors: dict[str, Any]
    ) -> Outcome | RowError:
        from curate.tasks.models.embeddings import matching, of_clip

        if not any(text.pieces for text in texts):
            return Outcome(dict.fromkeys(self.columns))
        try:
            embedded = of_clip(row, self.options.model, self.name)
            frames = matching(embedded, self._tower.revision, self.name)
        except RowError as error:
            return error
        of_texts: list[list[float]] = []
        of_windows: list[list[float]] = []
        captions = []
        for text in texts:
            seen = frames[_within(row, embedded.positions, text.caption)]
            cosines = [(seen @ vectors[piece]).max() for piece in text.pieces]
            of_pieces = [float(self._tower.logit_scale * c) for c in cosines]
            if of_pieces:
                whole = text.caption is None or is_whole(text.caption)
                (of_texts if whole else of_windows).append(of_pieces)
            if text.caption:
                captions.append(rewritten(text.caption, match=max(of_pieces, default=None)))
        best = max(of_texts or of_windows, key=max)
        lowest = min(best) if self.options.long == "sentences" else None
        return Outcome({"match": max(best), "match_lowest": lowest}, tables=captions)


def _within(clip: Clip, positions: Sequence[float], caption: CaptionRow | None) -> list[int]:
    """The numbers of the frames at these positions (0 to 1) that a caption is about."""
    numbers = list(range(len(positions)))
    if caption is None or is_whole(caption):
        return numbers
    length = clip.end_pts - clip.start_pts
    start, end = caption["window_start_pts"], caption["window_end_pts"]
    stamps = [clip.start_pts + position * length for position in positions]
    within = [number for number in numbers if start <= stamps[number] < end]
    middle = (start + end) / 2
    return within or [min(numbers, key=lambda number: abs(stamps[number] - middle))]
