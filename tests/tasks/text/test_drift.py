"""What a rewritten text adds is told from what it only phrases anew, and how well."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import snowballstemmer

from curate.tasks.text.drift import drift

CASES = [
    json.loads(line)
    for line in (Path(__file__).parent / "drift_cases.jsonl").read_text("utf-8").splitlines()
]
THRESHOLD = 0.4  # that of dense.yaml


@pytest.mark.parametrize(
    ("kind", "found", "texts"),
    [
        ("kept", 0, 25),  # written to keep to their notes
        ("loose", 4, 13),  # the same in other words: these are false alarms
        ("added", 26, 26),  # with several things made up
        ("one", 4, 13),  # with one thing made up: four numbers, which are found, and nine words
    ],
)
def test_how_many_texts_are_above_the_threshold(kind: str, found: int, texts: int) -> None:
    """All texts were made up before any share was looked at; the threshold was chosen after."""
    shares = [drift(text, [case["notes"]]).share for case in CASES for text in case[kind]]
    assert (sum(share > THRESHOLD for share in shares), len(shares)) == (found, texts)


@pytest.mark.parametrize(
    ("text", "notes", "share", "added"),
    [
        ("", [], 0, ()),
        ("It is seen in the picture.", [], 0, ()),
        ("Dogs running.", ["a dog runs"], 0, ()),
        ("Three dogs run.", ["two dogs run"], 1, ("Three",)),
        ("3 dogs and 1,000 cats", ["three dogs", "1000 cats"], 0, ()),
        ("1.5 m", ["15 m"], 1, ("1.5",)),
        ("One dog's tail", ["a dog with a tail"], 0, ()),
        ("A red dog in Paris.", ["A dog.", "red car"], 1 / 3, ("Paris",)),
        ("Men and women sit.", ["a man and a woman sat"], 0, ()),
        ("三只狗", ["两只狗"], 1, ("三",)),
        ("カメラと犬", ["犬"], 0.5, ("カメラ",)),
        ("ein Hund läuft", ["ein Hund"], 0.5, ("läuft",)),
    ],
)
def test_the_share_is_that_of_words_or_of_numbers(
    text: str, notes: list[str], share: float, added: tuple[str, ...]
) -> None:
    found = drift(text, notes)
    assert (found.share, found.added) == (pytest.approx(share), added)


def test_word_forms_are_those_of_the_language() -> None:
    assert drift("die Hunde", ["der Hund"], "german").share == 0
    assert drift("perros", ["perro"], "spanish").share == 0


def test_threads_do_not_disturb_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stemmer of Snowball keeps the word that it is at: two threads must not share one."""
    real, both_there = snowballstemmer.stemmer, threading.Barrier(2)

    class Stemmer:
        def __init__(self, language: str) -> None:
            self._real = real(language)
            self._in_use = threading.Lock()

        def stemWord(self, word: str) -> str:  # noqa: N802  Snowball's name
            assert self._in_use.acquire(blocking=False)
            both_there.wait(10)
            return str(self._real.stemWord(word))

    monkeypatch.setattr(snowballstemmer, "stemmer", Stemmer)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda text: drift(text, [], "porter").added, ["running", "walking"]))
    assert found == [("running",), ("walking",)]
