"""Captions in fields: how they are asked for, and what is read of an answer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from curate.configs.row_errors import CaptionMalformed
from curate.tasks.captioners.fields import USUAL, FieldCaptioner, FieldSchema, FieldsWrong
from curate.tasks.captioners.interface import Caption
from curate.tasks.captioners.stages import CaptionOptions
from curate.tasks.openai import OpenaiOptions
from curate.tasks.qwen2_vl import Qwen2VlOptions, Qwen2VlStage
from curate.tasks.video.span import Pick

SCHEMA = FieldSchema({"subject": "who", "action": "what happens"})
RIGHT = '{"subject": "A dog", "action": "It runs"}'
FOUND = {"subject": "A dog", "action": "It runs"}


@pytest.mark.parametrize(
    "answer",
    [
        RIGHT,
        f"```json\n{RIGHT}\n```",
        f"Sure, {{here}} it is: {RIGHT} Anything else?",
        f'<think>Not {{}} nor {{"subject": 1}}.</think>{RIGHT}',
        f"[{RIGHT}]",
        RIGHT.replace("A dog", "\\nA dog "),
        RIGHT.replace("A dog", " A dog\n"),  # a line break as it is
        RIGHT.replace("{", '{"other": [{"a": 1}], '),
        f"{RIGHT}{{",
    ],
)
def test_an_answer_is_read_whatever_is_around_it(answer: str) -> None:
    assert SCHEMA.read(answer) == FOUND


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("", "it holds no JSON object"),
        ("A dog runs.", "it holds no JSON object"),
        ('["A dog", "It runs"]', "it holds no JSON object"),
        (RIGHT[:-1], "its JSON breaks off"),
        (RIGHT[:-3], "its JSON breaks off"),
        (RIGHT[:13], "its JSON breaks off"),
        ('{"more": {"a": 1}, "subject": "x', "its JSON breaks off"),
        (RIGHT.replace('"', "'"), "its JSON is not valid"),
        (RIGHT.replace('", "', '" "'), "its JSON is not valid"),
        ('{"subject":' * 9000, "its JSON is not valid"),
        (f'{{"subject": {"9" * 5000}}}', "its JSON is not valid"),
        ("{}", "subject is missing, action is missing"),
        ('{"subject": "A dog", "action": null}', "action is missing"),
        ('{"subject": "A dog", "action": NaN}', "action is no text"),
        ('{"subject": {"a": "dog"}, "action": true}', "subject is no text, action is no text"),
        ('{"subject": " ", "action": "\\n"}', "subject is empty, action is empty"),
        ("{" * 200 + RIGHT, "its JSON is not valid"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_answer_is_told(answer: str, why: str) -> None:
    with pytest.raises(FieldsWrong) as wrong:
        SCHEMA.read(answer)
    assert str(wrong.value) == SCHEMA.problem(answer) == why


def test_texts_are_such_as_databases_take() -> None:
    assert SCHEMA.read(RIGHT.replace("dog", "\\u0000\\ud83d"))["subject"] == "A \ufffd?"


def test_the_text_of_a_caption_is_its_dense_field_or_all() -> None:
    filled = SCHEMA.filled(Caption(RIGHT, 7, 0.5))
    assert (filled.text, filled.fields, filled.tokens) == ("A dog It runs", FOUND, 7)
    schema = FieldSchema({"dense": "all", "short": "less"})
    assert schema.filled(Caption('{"short": "A", "dense": "A B"}', 1, 1.0)).text == "A B"
    plain = Caption("a dog", 1, 1.0)
    assert FieldSchema({}).filled(plain) is plain


def test_names_alone_ask_for_the_usual_fields() -> None:
    usual = OpenaiOptions(fields="default")  # type: ignore[arg-type]
    assert list(usual.fields) == list(USUAL) == list(OpenaiOptions(**usual.model_dump()).fields)
    chosen = CaptionOptions(fields=["short", "dense"])  # type: ignore[arg-type]
    assert chosen.fields == {name: USUAL[name] for name in ("short", "dense")}
    own = CaptionOptions(fields={"mood": "the mood", "short": None})  # type: ignore[dict-item]
    assert own.fields == {"mood": "the mood", "short": USUAL["short"]}


def test_fields_ask_in_other_words_and_for_more_tokens_unless_these_are_given() -> None:
    assert CaptionOptions().asked == CaptionOptions().prompt
    for options in (OpenaiOptions, Qwen2VlOptions):
        made = options(fields={"mood": "the mood"})
        assert (made.prompt, made.max_new_tokens) == (
            "Describe this video. Say only what can be seen.", 1024,
        )  # fmt: skip
        assert made.asked.endswith("\n- mood: the mood")
        given = options(fields={"mood": "the mood"}, prompt="What?", max_new_tokens=9)
        assert (given.asked.partition("\n")[0], given.max_new_tokens) == ("What?", 9)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        (["mood"], "say in a line what mood is; those known without: subject, action"),
        ({"mood": None}, "say in a line"),
        (["short", "short"], "names a field twice"),
        ({"Mood!": "the mood"}, "pattern"),
        ({"mood": ""}, "at least 1"),
        ({"mood": "a\nb"}, "one line"),
        ({"mood": 5}, "valid string"),
        ("all", "write default, a list of names"),
        ({f"a{n}": "b" for n in range(41)}, "at most 40"),
    ],
)
def test_fields_that_cannot_be_asked_for_are_refused(fields: Any, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        CaptionOptions(fields=fields)


def test_a_field_may_not_hold_what_stands_for_frames() -> None:
    options = Qwen2VlOptions(fields={"mood": "see <|video_pad|>"})
    with pytest.raises(Exception, match="its prompt holds"):
        Qwen2VlStage.check(options)


class Scripted:
    """A local model that says what it is told to, by the number of the frames."""

    name, revision = "tiny", "r1"

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = [list(told) for told in answers]
        self.prompts: list[str] = []

    def choose_frames(self, clip: Any) -> Pick:
        return Pick([0], (1, 1))

    def caption(self, frames: Any, prompt: str, max_new_tokens: int) -> Caption:
        (caption,) = self.captions([frames], prompt, max_new_tokens)
        return caption

    def captions(self, clips: Any, prompt: str, max_new_tokens: int) -> list[Caption]:
        self.prompts.append(prompt)
        told = [self._answers[int(frames[0, 0, 0, 0])].pop(0) for frames in clips]
        return [Caption(text, len(text), 1.0) for text in told]


def test_a_local_model_is_asked_once_more_about_the_clip_that_it_got_wrong() -> None:
    model = Scripted([RIGHT], ["A dog.", RIGHT], ["{}", '{"subject": "A dog"}'])
    clips = [np.full((1, 2, 2, 3), n, np.uint8) for n in range(3)]
    captions = FieldCaptioner(model, SCHEMA, "qwen").captions(clips, "What?", 99)
    assert [dict(caption.fields) for caption in captions] == [FOUND, FOUND, {}]
    assert [caption.seconds for caption in captions] == [1.0, 2.0, 2.0]
    assert [caption.error is None for caption in captions] == [True, True, False]
    malformed = captions[2].error
    assert isinstance(malformed, CaptionMalformed)
    assert 'action is missing. It wrote "{"subject": "A dog"}".' in str(malformed)
    assert model.prompts[0] == "What?"
    assert "it holds no JSON object" in model.prompts[1]
    assert "subject is missing, action is missing" in model.prompts[2]


def test_a_schema_is_such_as_strict_servers_want_it() -> None:
    asked = json.loads(json.dumps(SCHEMA.response_format))["json_schema"]
    assert (asked["strict"], asked["schema"]["additionalProperties"]) == (True, False)
    assert asked["schema"]["required"] == list(asked["schema"]["properties"]) == list(FOUND)
