"""Writes texts of wanted lengths and styles of what is known about a clip: stage `rewrite`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from curate.configs.errors import ConfigError
from curate.configs.pipeline import hint
from curate.configs.row_errors import CaptionRefused, RewriteUnfit
from curate.configs.schema import Column
from curate.tasks.captioners.asking import AskingStage
from curate.tasks.captioners.fields import FieldSchema, FieldsWrong, quoted
from curate.tasks.servers.server_stage import ServerOptions
from curate.tasks.stage import Clip, Outcome, Rows, Stage
from curate.tasks.text.captions import TABLE
from curate.tasks.text.checks import is_refusal, leaks_prompt
from curate.tasks.text.drift import check_installed, drift, languages
from curate.tasks.text.measure import words
from curate.tasks.text.notes import Note, notes_of
from curate.tasks.text.rewrites import REWRITES, new_rewrite

PROMPT = (
    "You write texts about clips of videos, by which a model learns to make videos from texts. You "
    "are given notes about one clip. Say what the notes say and nothing else: add no thing, "
    "person, action, place, colour, number, name or mood that they do not hold, and do not guess. "
    "Where two notes contradict each other, leave it out. Notes about clips before or after this "
    "one are there to understand it: repeat nothing that they alone say. Write in the present "
    "tense and in the language of the notes. Mention neither notes nor video."
)
SHORT = "one sentence: who or what, what happens, and where"
DENSE = (
    "whole sentences in one paragraph: who and what is seen, what happens in its order, the place, "
    "the light, the style, and how the camera moves"
)
USUAL = {
    "text_short": {"words": [5, 40], "style": SHORT},
    "text_dense": {"words": [40, 200], "style": DENSE},
}
COLUMNS = {
    "camera_motion": "camera motion",
    "ocr_union": "text in the picture",
    "option": "category",
    "category": "category of the video",
    "tags": "tags of the video",
}


def _in_order(words: tuple[int, int]) -> tuple[int, int]:
    if words[0] > words[1]:
        raise ValueError("the fewest words come first")
    return words


class Variant(BaseModel):
    """A text that is wanted: from so many words to so many, in a style."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    words: Annotated[
        tuple[Annotated[int, Field(ge=1, le=2000)], Annotated[int, Field(ge=1, le=2000)]],
        AfterValidator(_in_order),
    ]
    style: str = ""


Name = Annotated[str, StringConstraints(pattern="^[a-z][a-z0-9_]{0,62}$")]


class RewriteOptions(ServerOptions):
    """Options of `rewrite`."""

    prompt: str = Field(PROMPT, min_length=1, description="what the model is told before the notes")
    variants: dict[Name, Variant] = Field(
        default_factory=lambda: USUAL,
        validate_default=True,
        min_length=1,
        max_length=16,
        description="the texts by name, each with words: [fewest, most] and a style; those called "
        "text_short and text_dense are columns of the clip too",
    )
    columns: dict[str, str] = Field(
        default_factory=lambda: COLUMNS,
        description="columns of the clip, or of the input table, that are told, with their names "
        "in words; those that are not there are left out",
    )
    neighbours: int = Field(
        0, ge=0, le=4, description="clips before and after this one whose captions are told too"
    )
    language: str = Field(
        "english", description="of the texts, for rewrite_drift: a name of Snowball's stemmers"
    )
    max_new_tokens: int = Field(1024, ge=1, le=32768, description="tokens of an answer at most")
    body: dict[str, Any] = Field(
        default_factory=dict,
        description="put into each request, such as {seed: 1}; null takes a key out of it",
    )


class Rewrite(AskingStage, Stage[Clip, RewriteOptions]):
    """Texts of wanted lengths and styles, made of what is known about a clip, by servers.

    Told are its captions, their fields, those of its windows, the `columns` that are there, and
    with `neighbours` the captions of the clips beside it, as far as they are written by then. One
    answer has all variants, as JSON. Where a text is missing, too long, too short or repeats the
    prompt, the model is asked once more; then the clip fails with the reason, as one does that the
    model refuses. No text need be longer than half of the notes, whatever `words` says. A clip
    without a caption is not asked about.

    Every text is a row of the table `rewrites`, with model, revision and prompt. `rewrite_drift`
    tells how much was added. Put the stage behind the captioner and before `clean_text`, whose
    option `rewritten` makes one of the variants the text of the clip. It needs snowballstemmer:
    pip install ".[captions]"
    """

    name = "rewrite"
    optional = "response_format"
    level = "clip"
    Options = RewriteOptions
    reads = (TABLE,)
    may_lack = (TABLE,)
    writes = (REWRITES,)
    columns = {
        "text_short": Column("text", "the variant of this name, as it was written"),
        "text_dense": Column("text", "the variant of this name, as it was written"),
        "rewrite_drift": Column(
            "float",
            "the larger of two shares: of content words, and of numbers, that no note holds; of "
            "the variants the one with most",
            0,
            1,
            "lower",
        ),
        "rewrite_added": Column("text", "those words and numbers, of all variants; NULL: none"),
    }

    @classmethod
    def check(cls, options: Any) -> None:
        """Raise PackageMissing without snowballstemmer, ConfigError for a language that it does not
        know and as other stages that ask servers.
        """
        super().check(options)
        check_installed()
        if options.language not in languages():
            why = f"language: there are no stems of {options.language}"
            known = hint(options.language, languages())
            raise ConfigError(source=f"of stage {cls.name}", why=f"{why}; {known}")

    @classmethod
    def neighbours(cls, options: Any) -> int:
        """As many as the option says."""
        return int(options.neighbours)

    def load(self) -> None:
        """Find the servers, and put together what is asked. Raises AskedOffline."""
        super().load()
        wanted = {
            name: f"{v.words[0]} to {v.words[1]} words, fewer where the notes hold less. {v.style}"
            for name, v in self.options.variants.items()
        }
        self._schema = FieldSchema({name: text.rstrip() for name, text in wanted.items()})
        self._prompt = self._schema.asked(self.options.prompt)

    def request_bodies(self, row: Clip) -> dict[str, dict[str, Any]]:
        """The request about a clip; none where nothing is known of it."""
        notes = self._notes(row)
        return {self.request_digest(): self._body(notes)} if notes else {}

    def _body(self, notes: Sequence[Note]) -> dict[str, Any]:
        """What is asked; what is the same for all clips comes first."""
        told = "\n".join(f"{note.label}: {note.text}" for note in notes)
        body = {
            "model": self.options.model,
            "messages": [
                {"role": "system", "content": self._prompt},
                {"role": "user", "content": told},
            ],
            "max_tokens": self.options.max_new_tokens,
            "temperature": 0,
            self.optional: self._schema.response_format,
            **self.options.body,
        }
        return {name: value for name, value in body.items() if value is not None}

    def run(self, row: Clip) -> Outcome:
        """The texts of one clip. Raises StageError, ServiceError."""
        started, notes = time.monotonic(), self._notes(row)
        if not notes:  # nor is it now what was written of captions that are gone
            return Outcome(dict.fromkeys(self.columns), tables=[Rows(REWRITES, {}, [])])
        key = self.request_digest()

        def problem(text: str) -> str:
            fault = self._fault(text, notes)
            return self._schema.asked_again(fault) if fault else ""

        answer = self.kept(row.id, key) or self.ask_about(row.id, self._body(notes), key, problem)
        told = {"model": self.options.model, "stage": self.name}
        if self._refuses(answer.text):
            raise CaptionRefused(why=self._quoted(answer.text), **told)
        if why := self._fault(answer.text, notes):
            raise RewriteUnfit(why=why, wrote=self._quoted(answer.text), **told)
        texts = self._schema.read(answer.text)
        return self._outcome(texts, notes, answer.revision, time.monotonic() - started)

    def _notes(self, row: Clip) -> list[Note]:
        return notes_of(row, self.options.columns)

    def _quoted(self, answer: str) -> str:
        for server in self.pool.servers:
            answer = server.hide_key(answer)
        return quoted(answer)

    def _refuses(self, answer: str) -> bool:
        """Whether a text in an answer, or all of one that is no JSON, says that the model will not
        write.
        """
        try:
            texts = self._schema.read(answer).values()
        except FieldsWrong:
            return is_refusal(answer)
        return any(map(is_refusal, texts))

    def _fault(self, answer: str, notes: Sequence[Note]) -> str:
        """Why the texts in an answer do not fit; empty: they do, or the model refuses."""
        if self._refuses(answer):
            return ""
        try:
            texts = self._schema.read(answer)
        except FieldsWrong as wrong:
            return str(wrong)
        faults = []
        held = sum(words(note.text) for note in notes if note.of_clip)
        for name, text in texts.items():
            fewest, most = self.options.variants[name].words
            fewest, count = min(fewest, held // 2), words(text)
            if not fewest <= count <= most:
                faults.append(f"{name} has {count} words, not {fewest} to {most}")
            elif leaks_prompt(text, self._prompt):
                faults.append(f"{name} repeats what was asked")
        return "; ".join(faults)

    def _outcome(
        self, texts: Mapping[str, str], notes: Sequence[Note], revision: str, seconds: float
    ) -> Outcome:
        held = [note.text for note in notes if note.of_clip]
        found = {name: drift(text, held, self.options.language) for name, text in texts.items()}
        key = {"model": self.options.model, "revision": revision, "prompt": self._prompt}
        rows = [
            new_rewrite({**key, "variant": name}, text, found[name], seconds / len(texts))
            for name, text in texts.items()
        ]
        added = dict.fromkeys(word for one in found.values() for word in one.added)
        columns = {
            **{name: texts.get(name) for name in USUAL},
            "rewrite_drift": max(one.share for one in found.values()),
            "rewrite_added": ", ".join(added) or None,
        }
        return Outcome(columns, tables=rows)
