"""Captions in fields: how they are asked for, and what an answer says.

Answers are JSON, as models write it: in a code fence, or with words around it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from curate.configs.row_errors import CaptionMalformed
from curate.configs.texts import storable
from curate.tasks.captioners.interface import Caption, ModelCaptioner
from curate.tasks.video.span import Pick, SpanShape

if TYPE_CHECKING:
    from curate.tasks.captioners.interface import Frames

USUAL = {
    "subject": "who or what is seen: how many, how they look, what they wear",
    "action": "what happens, in the order in which it happens, or that nothing moves",
    "background": "the place, and what is around and behind the subject",
    "camera": "the size of the shot, the angle, and how the camera moves, or that it does not",
    "light": "where the light comes from, how strong and of what colour it is, the time of day",
    "style": "such as documentary, feature film, animation, game or phone video; its mood",
    "short": "the whole clip in one sentence of at most 20 words",
    "dense": "the whole clip in one paragraph of 80 to 150 words, with all of the above",
}
# with `fields`, where none is given
FIELDS_PROMPT, FIELDS_TOKENS = "Describe this video. Say only what can be seen.", 1024
WHOLE = "dense"  # the field that says everything
NAME = "^[a-z][a-z0-9_]{0,39}$"

LONGEST = 100_000  # characters of an answer that are looked at
MOST_OBJECTS = 50
MOST_QUOTED = 200  # characters of an answer in a message
BREAKS_OFF, NOT_JSON = "its JSON breaks off", "its JSON is not valid"
_DECODE = json.JSONDecoder(strict=False).raw_decode  # models write line breaks within strings


def _described(value: Any) -> Any:
    """The fields with what is wanted of each; of those without, as in USUAL. Raises ValueError."""
    if value == "default":
        return dict(USUAL)
    if isinstance(value, list | tuple):
        if len(set(map(str, value))) < len(value):
            raise ValueError("it names a field twice")
        value = dict.fromkeys(map(str, value))
    if not isinstance(value, Mapping):
        raise ValueError("write default, a list of names, or names with a line about each")
    for name, wanted in value.items():
        if wanted is None and name not in USUAL:
            known = ", ".join(USUAL)
            raise ValueError(f"say in a line what {name} is; those known without: {known}")
    return {name: USUAL[name] if wanted is None else wanted for name, wanted in value.items()}


def _one_line(text: str) -> str:
    if text != storable(text) or len(text.splitlines()) != 1:
        raise ValueError("it must be one line of text")
    return text


FieldName = Annotated[str, Field(pattern=NAME)]
Wanted = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_one_line)]
Fields = Annotated[dict[FieldName, Wanted], Field(max_length=40), BeforeValidator(_described)]


class FieldsWrong(Exception):
    """An answer does not have the fields; the message says what is wrong with it."""


@dataclass(frozen=True)
class FieldSchema:
    """The fields of a caption, each with what is wanted of it. Of none: any answer is right."""

    fields: Mapping[str, str]

    def asked(self, prompt: str) -> str:
        """The prompt with what is asked of the answer."""
        if not self.fields:
            return prompt
        keys = "\n".join(f"- {name}: {wanted}" for name, wanted in self.fields.items())
        return (
            f"{prompt}\n\nAnswer with one JSON object and nothing else. It has these keys, in this "
            f"order; the value of each is a text, never empty:\n{keys}"
        )

    def asked_again(self, why: str) -> str:
        """What is said to a model about an answer that was wrong."""
        keys = ", ".join(self.fields)
        return (
            f"That is not what was asked for: {why}. Answer once more, with one JSON object and "
            f"nothing else. Its keys are: {keys}; the value of each is a text, never empty."
        )

    @property
    def response_format(self) -> dict[str, Any]:
        """The same as a JSON schema, as OpenAI's protocol has it."""
        schema = {
            "type": "object",
            "properties": {
                name: {"type": "string", "description": wanted}
                for name, wanted in self.fields.items()
            },
            "required": list(self.fields),
            "additionalProperties": False,
        }
        named = {"name": "caption", "strict": True, "schema": schema}
        return {"type": "json_schema", "json_schema": named}

    def problem(self, answer: str) -> str:
        """What is wrong with an answer; empty: nothing."""
        try:
            self.read(answer)
        except FieldsWrong as wrong:
            return str(wrong)
        return ""

    def read(self, answer: str) -> dict[str, str]:
        """The texts of an answer by field, without other keys. Raises FieldsWrong."""
        if not self.fields:
            return {}
        wrong = FieldsWrong("it holds no JSON object")
        for found in _objects(answer):
            if isinstance(found, FieldsWrong):
                wrong = wrong if str(wrong) == BREAKS_OFF else found
                continue
            texts = {name: found.get(name) for name in self.fields}
            faults = [_fault(name, text) for name, text in texts.items()]
            if not any(faults):
                return {name: storable(str(text)).strip() for name, text in texts.items()}
            if str(wrong) != BREAKS_OFF:  # else it is a part of that
                wrong = FieldsWrong(", ".join(filter(None, faults)))
        raise wrong

    def filled(self, caption: Caption) -> Caption:
        """A caption with the fields that its text has in JSON. Its text becomes the field `dense`
        or, without one, all fields one after the other. Raises FieldsWrong.
        """
        texts = self.read(caption.text)
        if not texts:
            return caption
        return replace(caption, text=texts.get(WHOLE) or " ".join(texts.values()), fields=texts)


class FieldCaptioner:
    """A captioner of which the answers are read in fields. One that does not have them is asked for
    once more, and told what was wrong.
    """

    def __init__(self, captioner: ModelCaptioner, schema: FieldSchema, stage: str) -> None:
        self._captioner = captioner
        self._schema = schema
        self._stage = stage
        self.name = captioner.name
        self.revision = captioner.revision

    def choose_frames(self, clip: SpanShape) -> Pick:
        """As the captioner chooses them."""
        return self._captioner.choose_frames(clip)

    def caption(self, frames: Frames, prompt: str, max_new_tokens: int) -> Caption:
        """The caption of one clip. Raises CaptionMalformed."""
        (caption,) = self.captions([frames], prompt, max_new_tokens)
        if caption.error:
            raise caption.error
        return caption

    def captions(
        self, clips: Sequence[Frames], prompt: str, max_new_tokens: int
    ) -> Sequence[Caption]:
        """The captions of several clips; `error` tells of one that is malformed."""
        written = list(self._captioner.captions(clips, prompt, max_new_tokens))
        for number, first in enumerate(written):
            if why := self._schema.problem(first.text):
                again = f"{prompt}\n\n{self._schema.asked_again(why)}"
                (second,) = self._captioner.captions([clips[number]], again, max_new_tokens)
                written[number] = replace(second, seconds=first.seconds + second.seconds)
            try:
                written[number] = self._schema.filled(written[number])
            except FieldsWrong as wrong:
                told = {"why": wrong, "wrote": quoted(written[number].text), "stage": self._stage}
                error = CaptionMalformed(model=self.name, **told)
                written[number] = replace(written[number], error=error)
        return written


def quoted(answer: str) -> str:
    """The beginning of an answer, on one line, for a message."""
    line = " ".join(answer.split())
    return f"{line[:MOST_QUOTED]}…" if len(line) > MOST_QUOTED else line or "nothing"


def _fault(name: str, text: Any) -> str:
    if text is None:
        return f"{name} is missing"
    if not isinstance(text, str):
        return f"{name} is no text"
    return "" if text.strip() else f"{name} is empty"


def _objects(answer: str) -> Iterator[dict[str, Any] | FieldsWrong]:
    """The JSON objects in an answer, those within others left out; or why it is none."""
    place, text = 0, answer[:LONGEST].rstrip()
    for _ in range(MOST_OBJECTS):
        place = text.find("{", place)
        if place < 0:
            return
        try:
            found, place = _DECODE(text, place)
        except json.JSONDecodeError as error:
            place += 1
            open_end = error.pos >= len(text) or error.msg.startswith("Unterminated string")
            yield FieldsWrong(BREAKS_OFF if open_end else NOT_JSON)
        except (ValueError, RecursionError):  # a number of 5000 digits, a thousand levels
            place += 1
            yield FieldsWrong(NOT_JSON)
        else:
            yield found
