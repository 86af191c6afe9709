"""The base classes of captioning stages: one decode per clip, one row of `captions` per captioner.

Stage files import this module, so it loads nothing heavy: models are imported in `load`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from pydantic import Field, model_validator

from curate.configs.errors import ConfigError
from curate.configs.row_errors import CaptionEmpty, RowError
from curate.configs.schema import Column, StageOptions
from curate.configs.texts import storable
from curate.tasks.captioners.fields import (
    FIELDS_PROMPT,
    FIELDS_TOKENS,
    FieldCaptioner,
    Fields,
    FieldSchema,
)
from curate.tasks.captioners.frames import Part, always, parts_for
from curate.tasks.captioners.interface import Caption, Captioner, ModelCaptioner
from curate.tasks.captioners.windows import Window, Windows
from curate.tasks.models.catalog import ModelKind, Need, folder_of
from curate.tasks.stage import AscendOptions, Clip, Outcome, Stage
from curate.tasks.text.captions import TABLE, NewText, is_whole, new_captions

if TYPE_CHECKING:
    from curate.tasks.captioners.writing import Sampling

PROMPT = (
    "Describe this video in detail, in at most six sentences: who and what is seen, what happens, "
    "the place, the light, the style, and how the camera moves. Say only what can be seen."
)


class CaptionOptions(StageOptions):
    """Options of every stage that captions."""

    followers = {"fields": ("prompt", "max_new_tokens")}

    prompt: str = Field(PROMPT, min_length=1, description="what is asked about each clip")
    max_new_tokens: int = Field(200, ge=1, le=8192, description="tokens of a caption at most")
    fields: Fields = Field(
        default_factory=dict,
        description="asks for an answer in fields, each with a line of what is wanted; default, or "
        "a list of names: those of docs/captioners.md; empty: for a text",
    )

    windows: Windows | None = Field(
        None,
        description="captions of parts of a clip, {frames or seconds, stride, min, summary}: see "
        "docs/captions.md; null: one of the clip",
    )

    @model_validator(mode="before")
    @classmethod
    def _for_fields(cls, given: Any) -> Any:
        """With fields, another prompt and more tokens, where none are given."""
        if isinstance(given, dict) and given.get("fields"):
            return {"prompt": FIELDS_PROMPT, "max_new_tokens": FIELDS_TOKENS, **given}
        return given

    @property
    def summaries(self) -> tuple[str, ...]:
        """How captions of clips are made of those of windows."""
        return (self.windows.summary,) if self.windows else ()

    @property
    def field_schema(self) -> FieldSchema:
        """The fields as they are asked for, and read."""
        return FieldSchema(self.fields)

    @property
    def asked(self) -> str:
        """The prompt, with what is asked about fields."""
        return self.field_schema.asked(self.prompt)


CaptionOptionsT = TypeVar("CaptionOptionsT", bound=CaptionOptions)


class CaptionStage(Stage[Clip, CaptionOptionsT]):
    """Captions each clip, or its windows. A subclass names the captioner.

    Until clean_text chooses one, `text` is the caption of the clip; NULL while it has those of its
    windows alone.
    """

    level = "clip"
    writes = (TABLE,)
    opens_source = True
    columns: ClassVar[dict[str, Column]] = {
        "text": Column("text", "the caption, as it was written")
    }

    given: Mapping[int, Sequence[Part] | RowError] = {}
    """Parts by clip that were decoded for several captioners at once, or why they were not."""

    @property
    @abstractmethod
    def captioner(self) -> Captioner:
        """The loaded captioner."""

    def parts_of(
        self, row: Clip, needed: Callable[[Window | None], bool] = always
    ) -> Sequence[Part]:
        """What there is to be captioned of a clip, see parts_for. Raises MediaError, StageError."""
        if row.id not in self.given:
            return parts_for(row, [(self.captioner, self.options.windows)], needed)[0]
        given = self.given[row.id]
        if isinstance(given, RowError):
            raise given
        return given

    def outcome(self, written: Sequence[tuple[Window | None, Caption]]) -> Outcome:
        """The outcome of a clip with these captions of its parts. Raises CaptionEmpty,
        CaptionMalformed.
        """
        texts, captioner = [], self.captioner
        for window, caption in written:
            if caption.error:
                raise caption.error
            if not caption.text.strip():
                raise CaptionEmpty(model=captioner.name, why=f"{caption.tokens} tokens")
            stamps = (window.start_pts, window.end_pts) if window else None
            text = storable(caption.text)
            known = caption.tokens, caption.seconds, caption.fields
            texts.append(NewText(text, *known, window=stamps))
        # one for all parts, or they would not be known to belong together
        revision = written[-1][1].revision
        key = {
            "model": captioner.name,
            "revision": captioner.revision if revision is None else revision,
            "prompt": self.recorded_prompt(),
        }
        summary = self.options.windows.summary if self.options.windows else "none"
        new = new_captions(key, texts, None if summary == "none" else summary)
        whole = new.rows[-1] if is_whole(new.rows[-1]) else None
        return Outcome({"text": whole["text_raw"].strip() if whole else None}, tables=[new])

    def recorded_prompt(self) -> str:
        """The prompt as stored with each caption."""
        return self.options.asked


class ModelOptions(AscendOptions, CaptionOptions):
    """Options of a stage that captions with a local model. A subclass adds the `model`."""

    model: str
    batch_size: int = Field(16, ge=1, le=4096, description="rows claimed by one task")
    pass_size: int = Field(1, ge=1, le=256, description="clips that are written about together")
    temperature: float = Field(
        0, ge=0, le=10, description="0: the best word each time; above: drawn among the better"
    )
    top_p: float = Field(
        1,
        gt=0,
        le=1,
        description="of what is drawn: the likeliest words that together have so much",
    )
    top_k: int = Field(
        0, ge=0, description="of what is drawn: so many words at most; 0: any number"
    )
    seed: int = Field(
        0, ge=0, lt=1 << 63, description="where the random numbers of each clip start"
    )


ModelOptionsT = TypeVar("ModelOptionsT", bound=ModelOptions)


class ModelStage(CaptionStage[ModelOptionsT]):
    """Captions each clip with one local model. A subclass names it."""

    kind: ClassVar[ModelKind]
    frames_word: ClassVar[str]  # stands for the frames in the model's conversation

    @classmethod
    def check(cls, options: Any) -> None:
        """Raise ConfigError if the prompt contains the word that stands for the frames."""
        if cls.frames_word in options.asked:
            why = (
                f"its prompt holds {cls.frames_word}, which stands for the frames and is put "
                "before the prompt; leave it out"
            )
            raise ConfigError(source=f"of stage {cls.name}", why=why)

    @classmethod
    def models(cls, options: Any) -> tuple[Need, ...]:
        """The captioner's folder."""
        return (Need(cls.kind, options.model),)

    @abstractmethod
    def captioner_of(self, folder: Path) -> ModelCaptioner:
        """The captioner of a folder. Raises BadModel, NoDevice, PackageMissing."""

    def load(self) -> None:
        """Load the captioner, once per process. Raises BadModel, NoDevice, PackageMissing."""
        folder = folder_of(self.options.model, self.context.settings.model_folder)
        captioner = self.captioner_of(folder)
        schema = self.options.field_schema
        in_fields = FieldCaptioner(captioner, schema, self.name)
        self._captioner = in_fields if schema.fields else captioner

    @property
    def captioner(self) -> ModelCaptioner:
        """The loaded captioner."""
        return self._captioner

    def run(self, row: Clip) -> Outcome:
        """The captions of one clip. Raises MediaError, StageError, CaptionEmpty."""
        (outcome,) = self._caption_together([row])
        if isinstance(outcome, RowError):
            raise outcome
        return outcome

    def run_batch(self, rows: Sequence[Clip]) -> list[Outcome | RowError]:
        """Outcomes of clips, captioned `pass_size` at a time to bound the frames in memory."""
        size = self.options.pass_size
        parts = [rows[i : i + size] for i in range(0, len(rows), size)]
        return [outcome for part in parts for outcome in self._caption_together(part)]

    def _caption_together(self, rows: Sequence[Clip]) -> list[Outcome | RowError]:
        """Outcomes of clips in one pass. A clip without frames or caption fails alone."""
        outcomes: dict[int, Outcome | RowError] = {}
        clips: dict[int, Sequence[Part]] = {}
        for number, row in enumerate(rows):
            try:
                clips[number] = self.parts_of(row)
            except RowError as error:
                outcomes[number] = error
        request = self.options.asked, self.options.max_new_tokens
        frames = [part.frames for parts in clips.values() for part in parts]
        captions = iter(self.captioner.captions(frames, *request) if frames else ())
        for number, parts in clips.items():
            try:
                outcomes[number] = self.outcome([(part.window, next(captions)) for part in parts])
            except RowError as error:
                outcomes[number] = error
        return [outcomes[number] for number in range(len(rows))]

    def sampling(self) -> Sampling:
        """The sampling that the options ask for."""
        from curate.tasks.captioners.writing import Sampling

        options = self.options
        return Sampling(options.temperature, options.top_p, options.top_k, options.seed)
