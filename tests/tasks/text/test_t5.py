"""The 38 rules give what was worked out by hand from their description (t5_cases.jsonl)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.tasks.text.t5 import RULES, clean_once, clean_t5

LINES = (Path(__file__).parent / "t5_cases.jsonl").read_text(encoding="utf-8").splitlines()
CASES = [json.loads(line) for line in LINES]
# what the rules look for in a word: parts of words are eaten by rules 3, 15, 23, 24 and 26
EATEN = ("shipping", "download", "png", "jpg", "jpeg", "bmp", "webp", "eps", "pdf", "apk", "mp4")
WORDS = st.from_regex(r"[a-z]{1,12}", fullmatch=True).filter(
    lambda word: not any(part in word for part in EATEN)
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['rule']}-{case['text']!r:.30}")
def test_a_text_becomes_what_the_rules_say(case: dict[str, str]) -> None:
    assert clean_t5(case["text"]) == case["clean"]


def test_there_are_cases_for_each_of_the_38_rules() -> None:
    assert len(CASES) >= 200
    assert {case["rule"] for case in CASES} == {number for number, _ in RULES} == set(range(1, 39))


@given(st.text())
def test_any_text_is_cleaned_without_an_error_and_has_no_blanks_around(text: str) -> None:
    cleaned = clean_t5(text)
    assert cleaned == cleaned.strip()


@given(
    st.lists(
        st.tuples(WORDS, st.sampled_from([" ", ", ", ". ", "; ", ": ", "? "])),
        min_size=1,
        max_size=30,
    )
)
def test_an_ordinary_sentence_is_cleaned_once_and_for_all(pairs: list[tuple[str, str]]) -> None:
    cleaned = clean_t5("".join(word + blank for word, blank in pairs).strip() + ".")
    assert clean_t5(cleaned) == cleaned


@pytest.mark.parametrize(
    ("text", "passes"),
    [(",,,,a", [",, a", "a"]), ("a%252525252ddog", ["a%25252ddog", "a%2ddog", "a-dog"])],
)
def test_it_is_not_idempotent_on_every_text_and_neither_is_the_seed(
    text: str, passes: list[str]
) -> None:
    for expected in passes:
        text = clean_t5(text)
        assert text == expected


@given(st.text())
def test_any_text_comes_to_rest_when_it_is_cleaned_again_and_again(text: str) -> None:
    for _ in range(len(text) + 3):
        before, text = text, clean_once(text)
        if before == text:
            return
    raise AssertionError(text)
