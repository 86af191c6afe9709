"""What is wrong with captions, on a table of good and bad ones in six languages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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

LINES = Path(__file__).with_name("caption_cases.jsonl").read_text(encoding="utf-8").splitlines()
CASES: list[dict[str, Any]] = [json.loads(line) for line in LINES]


def faults(case: dict[str, Any]) -> set[str]:
    """The faults that are found, by the thresholds that docs/captions.md names."""
    words = words_in_order(case["text"])
    found = {
        "loop": times_in_a_row(words) > 2,
        "repeated": repeated_share(words) > 0.2,
        "unfinished": is_unfinished(case["text"]),
        "refusal": is_refusal(case["text"]),
        "leak": leaks_prompt(case["text"], case.get("prompt", "")),
        "filler": filler(case["text"]) > 0,
        "person": first_person(case["text"]) > 0,
    }
    return {name for name, is_so in found.items() if is_so}


@pytest.mark.parametrize("case", CASES, ids=[case["text"][:40] for case in CASES])
def test_the_faults_of_a_caption_and_no_others_are_found(case: dict[str, Any]) -> None:
    assert faults(case) == set(case["faults"])


def test_a_word_is_one_chinese_or_kana_character_or_what_stands_between_marks() -> None:
    assert words_in_order("A well-lit Café, isn't it? 一只 dog") == [
        "a", "well-lit", "café", "isn't", "it", "一", "只", "dog",
    ]  # fmt: skip


def test_the_share_of_repeated_words_counts_each_word_once() -> None:
    words = ["a", "b", "c", "d", "x", "a", "b", "c", "d", "y", "a", "b", "c", "d"]
    assert repeated_share(words) == 8 / 14
    assert repeated_share(words[:5]) == 0
    assert repeated_share([]) == 0


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=6), st.integers(2, 6))
def test_a_phrase_in_a_row_is_counted(phrase: list[str], times: int) -> None:
    assert times_in_a_row(["x", *(phrase * times), "y"]) >= times


@given(st.lists(st.integers(0, 99), unique=True).map(lambda ns: [str(n) for n in ns]))
def test_words_that_differ_are_no_loop(words: list[str]) -> None:
    assert times_in_a_row(words) == 1
    assert repeated_share(words) == 0


def test_a_prompt_that_shares_a_few_words_with_the_text_has_not_leaked() -> None:
    assert not leaks_prompt("A man in a red shirt cooks.", "Is there a man in a red coat?")


def test_captions_agree_by_the_words_that_they_share() -> None:
    assert agreement(["a dog runs", "The dog runs!"]) == 1
    assert agreement(["a dog runs", "a cat sleeps"]) == 0
    assert agreement(["a dog runs", "a dog sleeps"]) == 0.5
    assert agreement(["a dog runs", "the"]) is None
    assert agreement(["a dog"]) is None


@given(st.text())
def test_any_text_can_be_checked(text: str) -> None:
    faults({"text": text, "prompt": text})
