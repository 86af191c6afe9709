"""The words that tell groups of texts apart."""

from __future__ import annotations

from collections import Counter

from curate.tasks.text.distinctive import distinctive, words_of


def test_words_are_of_three_letters_in_lower_case_and_pairs_of_chinese_ones() -> None:
    assert words_of("A Dog, on 12 beaches_x: Ünder 海滩日落") == {
        "dog", "beaches", "ünder", "海滩", "日落",
    }  # fmt: skip


def counts(*texts: str) -> Counter[str]:
    found: Counter[str] = Counter()
    for one in texts:
        found.update(words_of(one))
    return found


def test_words_that_all_groups_have_do_not_name_one() -> None:
    groups = {0: counts("the dog runs", "the dog sleeps"), 1: counts("the car runs", "the car")}
    named = distinctive(groups, {0: 2, 1: 2}, most=1)
    assert named == {0: ["dog"], 1: ["car"]}
    more = distinctive(groups, {0: 2, 1: 2}, most=2)
    assert more == {0: ["dog", "sleeps"], 1: ["car"]}


def test_rare_words_do_not_name_a_group() -> None:
    groups = {0: counts(*["dog"] * 20, "zebra"), 1: counts(*["car"] * 20)}
    assert distinctive(groups, {0: 21, 1: 20}, most=3) == {0: ["dog"], 1: ["car"]}


def test_a_single_group_has_its_most_common_words() -> None:
    assert distinctive({5: counts("dog runs", "dog")}, {5: 2}, most=1) == {5: ["dog"]}
