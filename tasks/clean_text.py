"""Cleans captions and chooses the text of a clip: the stage `clean_text`."""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from curate.configs.errors import ConfigError, PackageMissing
from curate.configs.packages import install
from curate.configs.pipeline import Pipeline, hint
from curate.configs.schema import Column, StageOptions
from curate.configs.texts import input_cell
from curate.tasks.stage import Clip, Outcome, Stage
from curate.tasks.text.captions import (
    HAND,
    INPUT,
    TABLE,
    CaptionRow,
    Source,
    choose_caption,
    input_text,
    new_caption,
    rewritten,
    with_best,
)
from curate.tasks.text.extras import with_motion, with_scores, with_text
from curate.tasks.text.measure import TokenCounter, has_url, words
from curate.tasks.text.prefix import strip_prefix
from curate.tasks.text.rewrites import REWRITES, newest_rewrite
from curate.tasks.text.template import Template

_ALIKE = 0.8  # similarity (1: equal) from which a name counts as a misspelling of another one


def _readable(text: str) -> str:
    if text and not Template.read(text).names:
        raise ValueError("it names no field in braces, such as {subject}")
    return text


class CleanTextOptions(StageOptions):
    """Options of `clean_text`."""

    batch_size: int = Field(1024, ge=1, le=4096, description="rows claimed by one task")
    source: Source = Field(
        "first",
        description="which becomes the text, of each model's newest caption: written first, last, "
        "the longest, or that of the best match",
    )
    template: Annotated[str, AfterValidator(_readable)] = Field(
        "",
        description="what the text of a caption in fields is made of, such as {subject} {action}; "
        "empty, or where it lacks one of them: as it was written",
    )
    rewritten: str = Field(
        "",
        description="variant of rewrite, such as text_dense, that becomes the text where there is "
        "one; only a caption by hand goes before it; empty: a caption",
    )
    refine: bool = Field(True, description="cut words such as: The video shows")
    clean: Literal["safe", "t5", "none"] = Field(
        "safe",
        description="safe: repair without eating words; t5: the scripts' 38 rules, lower case; "
        "none: as it is",
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
    """Cleans every caption of a clip, chooses one as its `text`, and measures it.

    The order is: fill the template, refine, clean, choose, then add camera motion, scores and the
    option `append` to the chosen caption. Nothing is added to a caption loaded by hand. The texts
    as written stay in `captions`. A clip without a caption takes the text that came with the input.
    Captions of windows are cleaned too, and one of the clip is made of the best of them where
    `windows` of the captioner says so. To clean again with other options: curate reclean.
    """

    name = "clean_text"
    level = "clip"
    Options = CleanTextOptions
    reads = (TABLE, REWRITES)
    may_lack = (TABLE, REWRITES)
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
        """Raise PackageMissing without ftfy, BadModel for a folder without a tokenizer."""
        if options.clean != "none" and importlib.util.find_spec("ftfy") is None:
            raise PackageMissing(what="stage clean_text", package="ftfy", install=install("ftfy"))
        if options.tokenizer:
            _token_counter(options.tokenizer)

    @classmethod
    def check_before(cls, options: Any, before: Pipeline) -> None:
        """Raise ConfigError for fields, scores, matches or a camera motion that no earlier stage
        writes.

        A camera motion may also be a column of the input table, which is not known yet. Only a name
        that looks like a misspelt column of a stage is therefore refused.
        """
        fields = {name for step in before.stages for name in step.fields}
        for name in Template.read(options.template).names:
            if name not in fields:
                near = hint(name, fields) if fields else "give a captioner the option fields"
                _refuse(f"template: no stage before it writes a field {name}; {near}")
        columns = before.columns()
        numbers = [name for name, column in columns.items() if column.kind != "text"]
        for name in options.scores:
            if name not in numbers:
                _refuse(f"scores: no stage before it writes a number {name}; {hint(name, numbers)}")
        labels = [name for name, column in columns.items() if column.kind == "text"]
        motion = options.camera_motion
        if motion not in labels and difflib.get_close_matches(motion, labels, 1, _ALIKE):
            why = f"no stage before it writes a column {motion}; {hint(motion, labels)}"
            _refuse(f"camera_motion: {why}")
        matches_all = any(
            step.name == "match" and getattr(step.options, "captions", None) == "all"
            for step in before.stages
        )
        missing = "put stage match with captions: all before it"
        if options.source == "match" and not matches_all:
            _refuse(f"source: match chooses by the scores of all captions; {missing}")
        chooses = any("best" in getattr(step.options, "summaries", ()) for step in before.stages)
        if chooses and not matches_all:
            _refuse(f"the best of a clip's windows is known by their match; {missing}")
        variants = [name for s in before.stages for name in getattr(s.options, "variants", ())]
        if options.rewritten and options.rewritten not in variants:
            known = hint(options.rewritten, variants) if variants else "put stage rewrite before it"
            _refuse(f"rewritten: no stage before it writes {options.rewritten}; {known}")

    def load(self) -> None:
        """Load the cleaning rules and the tokenizer."""
        options = self.options
        self.check(options)
        self._template = Template.read(options.template)
        self._tokens = _token_counter(options.tokenizer) if options.tokenizer else None
        self._clean: Callable[[str], str] = str.strip
        if options.clean == "safe":
            from curate.tasks.text.safe import clean_safe

            self._clean = partial(clean_safe, lower=options.lower, keep_cjk=options.keep_cjk)
        elif options.clean == "t5":
            from curate.tasks.text.t5 import clean_t5

            self._clean = clean_t5

    def run(self, row: Clip) -> Outcome:
        """The text of a clip, and its captions with their cleaned texts."""
        captions: list[CaptionRow] = []
        for caption in _captions(row):
            raw = self._template.filled(caption.get("fields", {})) or caption["text_raw"]
            captions.append({**caption, "text": self._cleaned(raw)})
        captions = with_best(captions)
        best = choose_caption(captions, self.options.source)
        if not best or best["model"] != HAND:
            newest = newest_rewrite(row.tables.get(REWRITES, ()), self.options.rewritten)
            if newest and (cleaned := self._cleaned(newest["text"])):
                best = {**newest, "text_raw": newest["text"], "text": cleaned}
        return Outcome(self._columns(row, best), tables=[rewritten(c) for c in captions])

    def _cleaned(self, raw: str) -> str | None:
        return self._clean(strip_prefix(raw) if self.options.refine else raw) or None

    def _columns(self, clip: Clip, best: CaptionRow | None) -> dict[str, Any]:
        """The columns of a clip, given its best caption, or None if it has no caption."""
        if best is None:
            return {
                "text": None,
                "text_model": None,
                "text_len": 0,
                "text_tokens": None,
                "has_url": 0,
            }
        text = best["text"] if best["model"] == HAND else self._extended(clip, best["text"])
        return {
            "text": text,
            "text_model": best["model"],
            "text_len": words(text),
            "text_tokens": self._tokens.count(text) if self._tokens else None,
            "has_url": int(has_url(best["text_raw"])),
        }

    def _extended(self, clip: Clip, text: str) -> str:
        """The text with camera motion, scores and the option `append` added."""
        options = self.options
        if options.camera_motion:
            label = clip.values.get(options.camera_motion)
            if label is None:  # not a stage's column: try the input table
                label = input_cell(clip.video.values.get("extra"), options.camera_motion)
            text = with_motion(text, None if label is None else str(label))
        scores = []
        for column, name in options.scores.items():
            score = clip.values.get(column)
            scores.append((name, float(score) if isinstance(score, int | float) else None))
        # no ids: the same input gets the same choice in every dataset
        key = f"{options.seed}:{clip.video.relpath}:{clip.index}"
        return with_text(with_scores(text, scores, key, options.scores_share), options.append)


def _refuse(why: str) -> None:
    raise ConfigError(source="of stage clean_text", why=why)


def _captions(clip: Clip) -> list[dict[str, Any]]:
    """The clip's captions in the order of writing, or the input's text if it has none."""
    rows = [dict(row) for row in clip.tables[TABLE]]
    text = input_text(clip.video)
    if rows or text is None:
        return rows
    new = new_caption(INPUT, text)
    return [{**new.where, **new.rows[0]}]


def _token_counter(folder: str) -> TokenCounter:
    return TokenCounter(Path(folder).expanduser())
