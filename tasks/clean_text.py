"""Cleans captions and chooses the text of a clip: the stage `clean_text`."""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from curate.configs.errors import ConfigError, PackageMissing
from curate.configs.pipeline import Pipeline, StageStep, hint
from curate.configs.schema import Column, StageOptions
from curate.configs.texts import input_cell
from curate.tasks.stage import Clip, Outcome, Stage
from curate.tasks.text.captions import HAND, INPUT, TABLE, Row, Source, again, chosen, input_text

_ALIKE = 0.8  # a name that is so near to another one, of 1, is taken for a slip


class CleanTextOptions(StageOptions):
    """Options of `clean_text`."""

    batch_size: int = Field(1024, ge=1, le=4096, description="rows claimed by one task")
    source: Source = Field(
        "first",
        description="which becomes the text, of each model's newest caption: written first, last, the longest, or that "
        "of the best match",
    )
    refine: bool = Field(True, description="cut words such as: The video shows")
    clean: Literal["safe", "t5", "none"] = Field(
        "safe",
        description="safe: repair without eating words; t5: the seed's 38 rules, lower case; none: as it is",
    )
    lower: bool = Field(False, description="lower case, for safe")
    keep_cjk: bool = Field(True, description="keep Chinese characters, for safe")
    camera_motion: str = Field(
        "", description="column whose label, such as pan_left, is added in words; empty: none"
    )
    scores: dict[str, str] = Field(
        default_factory=dict,
        description="scores to add, column: name, such as {aes: aesthetic score}",
    )
    scores_share: float = Field(
        0.8, ge=0, le=1, description="share of clips to which each of the scores is added"
    )
    seed: int = Field(42, description="another one adds the scores to other clips")
    append: str = Field("", description="text added to the end")
    tokenizer: str = Field(
        "", description="folder of a tokenizer.json to count text_tokens by; empty: not counted"
    )


class CleanText(Stage[Clip, CleanTextOptions]):
    """Cleans every caption of a clip, chooses one as its `text`, and measures it. Texts as written
    stay in `captions`.

    In this order: refine, clean, choose, then what is added to the chosen one: camera motion,
    scores, text; nothing to one that was loaded by hand. A clip without a caption has its text from
    the input. Once more, with other options: curate reclean.
    """

    name = "clean_text"
    level = "clip"
    Options = CleanTextOptions
    reads = (TABLE,)
    may_lack = (TABLE,)
    writes = (TABLE,)
    columns = {
        "text": Column(
            "text", "the chosen caption, cleaned; NULL when there is none or nothing is left of it"
        ),
        "text_model": Column("text", "who wrote it: a model, or input, file, table"),
        "text_len": Column(
            "int", "words of text; a Chinese or kana character is one; 0 without a text", 0
        ),
        "text_tokens": Column("int", "tokens of text, by the option tokenizer; NULL without it", 0),
        "has_url": Column(
            "int", "1 when the chosen caption, as it was written, holds a URL", 0, 1, "lower"
        ),
    }

    @classmethod
    def check(cls, options: Any) -> None:
        """Raise PackageMissing when ftfy is not installed; BadModel for a folder without a
        tokenizer.
        """
        if options.clean != "none":
            _check_ftfy()
        if options.tokenizer:
            _counter(options.tokenizer)

    @classmethod
    def check_before(cls, options: Any, before: Pipeline) -> None:
        """Raise ConfigError for scores, matches or a camera motion that no earlier stage writes.

        A camera motion may be a column of the input table too, of which nothing is known here:
        refused is what looks like a column of a stage, misspelt.
        """
        columns = before.columns()
        numbers = [name for name, column in columns.items() if column.kind != "text"]
        for name in options.scores:
            if name not in numbers:
                _refuse(f"scores: no stage before it writes a number {name}; {hint(name, numbers)}")
        labels = [name for name, column in columns.items() if column.kind == "text"]
        motion = options.camera_motion
        if motion not in labels and difflib.get_close_matches(motion, labels, 1, _ALIKE):
            _refuse(
                f"camera_motion: no stage before it writes a column {motion}; {hint(motion, labels)}"
            )
        if options.source == "match" and not any(_matches_all(step) for step in before.stages):
            _refuse(
                "source: match chooses by the scores of all captions; put stage match with captions: all before it"
            )

    def load(self) -> None:
        """Load the tokenizer."""
        self.check(self.options)
        self._tokens = _counter(self.options.tokenizer) if self.options.tokenizer else None
        self._clean = self._cleaning()

    def _cleaning(self) -> Callable[[str], str]:
        from curate.tasks.text.safe import clean_safe
        from curate.tasks.text.t5 import clean_t5

        options = self.options
        if options.clean == "safe":
            return partial(clean_safe, lower=options.lower, keep_cjk=options.keep_cjk)
        return clean_t5 if options.clean == "t5" else str.strip

    def run(self, row: Clip) -> Outcome:
        """The text of one clip, and its captions with their cleaned texts."""
        captions = [
            {**caption, "text": self._cleaned(caption["text_raw"])} for caption in _captions(row)
        ]
        best = chosen(captions, self.options.source)
        return Outcome(self._measured(row, best), tables=[again(caption) for caption in captions])

    def _cleaned(self, raw: str) -> str | None:
        from curate.tasks.text.prefix import strip_prefix

        return self._clean(strip_prefix(raw) if self.options.refine else raw) or None

    def _measured(self, clip: Clip, best: Row | None) -> dict[str, Any]:
        from curate.tasks.text.measure import has_url, words

        if best is None:
            return {
                "text": None,
                "text_model": None,
                "text_len": 0,
                "text_tokens": None,
                "has_url": 0,
            }
        text = best["text"] if best["model"] == HAND else self._extended(clip, best["text"])
        tokens = self._tokens.count(text) if self._tokens else None
        return {
            "text": text, "text_model": best["model"], "text_len": words(text), "text_tokens": tokens,
            "has_url": int(has_url(best["text_raw"])),
        }  # fmt: skip

    def _extended(self, clip: Clip, text: str) -> str:
        from curate.tasks.text.extras import with_motion, with_scores, with_text

        options = self.options
        if options.camera_motion:
            text = with_motion(text, _label(clip, options.camera_motion))
        scores = [
            (name, _number(clip.values.get(column))) for column, name in options.scores.items()
        ]
        text = with_scores(text, scores, _key(options.seed, clip), options.scores_share)
        return with_text(text, options.append)


def _refuse(why: str) -> None:
    raise ConfigError(source="of stage clean_text", why=why)


def _matches_all(step: StageStep) -> bool:
    return step.name == "match" and getattr(step.options, "captions", None) == "all"


def _captions(clip: Clip) -> list[dict[str, Any]]:
    """The clip's captions, in the order in which they were written; without one, what came with the
    input.
    """
    rows = [dict(row) for row in clip.tables[TABLE]]
    text = input_text(clip.video)
    if rows or text is None:
        return rows
    same = {
        "revision": "",
        "prompt": "",
        "tokens": None,
        "seconds": None,
        "match": None,
        "created_at": time.time(),
    }
    return [{"model": INPUT, "text_raw": text, **same}]


def _key(seed: int, clip: Clip) -> str:
    """What the scores of a clip are added by: the same for the same input in any dataset, which ids
    are not.
    """
    return f"{seed}:{clip.video.relpath}:{clip.index}"


def _label(clip: Clip, column: str) -> str | None:
    """A value of the clip or, where it has no such column, of its row in the input table."""
    value = clip.values.get(column)
    return input_cell(clip.video.values.get("extra"), column) if value is None else str(value)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _check_ftfy() -> None:
    try:
        import ftfy  # noqa: F401
    except ImportError:
        raise PackageMissing(
            what="stage clean_text", package="ftfy", install='pip install "curate[captions]"'
        ) from None


def _counter(folder: str) -> Any:
    from curate.tasks.text.measure import TokenCounter

    return TokenCounter(Path(folder).expanduser())
