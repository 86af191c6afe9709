"""What all stages of captioners share: one decode a clip, a row of `captions` for each captioner."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, TypeVar

from pydantic import Field

from curate.configs.errors import CaptionEmpty
from curate.configs.schema import Column, StageOptions
from curate.configs.texts import storable
from curate.tasks.captioners.frames import frames_for
from curate.tasks.captioners.interface import Caption, Captioner
from curate.tasks.stage import Clip, Outcome, Rows, Stage
from curate.tasks.text.captions import TABLE, new_caption

PROMPT = (
    "Describe this video in detail, in at most six sentences: who and what is seen, what happens, the place, the "
    "light, the style, and how the camera moves. Say only what can be seen."
)


class CaptionOptions(StageOptions):
    """Options of a stage of captioners."""

    prompt: str = Field(PROMPT, min_length=1, description="what is asked about each clip")
    max_new_tokens: int = Field(200, ge=1, le=8192, description="tokens of a caption at most")


OptionsT = TypeVar("OptionsT", bound=CaptionOptions)


class CaptionStage(Stage[Clip, OptionsT]):
    """Captions each clip. A subclass says by which captioners; `text` is the first one's caption
    until clean_text.
    """

    level = "clip"
    writes = (TABLE,)
    columns: ClassVar[dict[str, Column]] = {
        "text": Column("text", "the caption, as it was written")
    }

    @abstractmethod
    def captioners(self) -> Sequence[Captioner]:
        """The captioners, ready to be asked."""

    def run(self, row: Clip) -> Outcome:
        """The captions of one clip. Raises MediaError, StageError."""
        captioners = self.captioners()
        asked = self.options.prompt, self.options.max_new_tokens
        frames = frames_for(row, captioners)
        return self.outcome(
            [(c, c.caption(f, *asked)) for c, f in zip(captioners, frames, strict=True)]
        )

    def outcome(self, written: Sequence[tuple[Captioner, Caption]]) -> Outcome:
        """What a clip has when these captions were written about it. Raises CaptionEmpty."""
        rows = [self._row(*pair) for pair in written]
        return Outcome({"text": storable(written[0][1].text).strip()}, tables=rows)

    def asked(self) -> str:
        """What the captioners are told in words, as it is kept with each caption."""
        return self.options.prompt

    def _row(self, captioner: Captioner, caption: Caption) -> Rows:
        if not caption.text.strip():
            raise CaptionEmpty(model=captioner.name, why=f"{caption.tokens} tokens")
        revision = captioner.revision if caption.revision is None else caption.revision
        named: dict[str, Any] = {"revision": revision, "prompt": self.asked()}
        return new_caption(
            captioner.name,
            storable(caption.text),
            **named,
            tokens=caption.tokens,
            seconds=caption.seconds,
        )
