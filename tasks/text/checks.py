"""What is wrong with a caption as a text: loops, refusals, leaked prompts, cut ends, filler.

Everything is told from the words alone. English, Chinese, Japanese, Spanish, French and German are
known; a text in another language is measured, and none of its phrases are found. Words in quotation
marks are what somebody in the picture says or a sign reads, and are no fault of the captioner.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_CJK}]|[^\W_{_CJK}]+(?:['’-][^\W_{_CJK}]+)*")
_IS_CJK = re.compile(f"[{_CJK}]")
_QUOTED = re.compile(
    r"\"[^\"]*\"|“[^”]*”|「[^」]*」|『[^』]*』|«[^»]*»|„[^“”]*[“”]|(?<!\w)'[^']*'(?!\w)"
)

PHRASE = 4  # words from which on a repeated phrase counts
CJK_PHRASE = 8  # and characters, where each is a word
LEAKED = 6  # words of the prompt in a row, or twice as many characters, that are no coincidence
_LONGEST_LOOP = 60  # words of a phrase that is looked for in a row
_MOST_WORDS = 4000

_ENDS = ".!?。！？।"
_CLOSING = "\"'”’」』»)）]】*_ "
_PAIRS = ("()", "（）", "[]", "【】", "“”", "「」", "『』", "«»")
_SENTENCE_END = re.compile(
    r"(?<!\bMr)(?<!\bMs)(?<!\bMrs)(?<!\bDr)(?<!\bSt)(?<!\bvs)[.!?]\s+\S|[。！？]"
)
# words that no sentence ends with
_DANGLING = set(
    re.findall(
        r"\w+",
        "a an the and or of with to in into at by from for as that which who while is are was were "
        "his her their its on "
        "el la los las un una y o de con en por para que se su sus del al "
        "le les des et ou du dans avec pour qui est sont une sur "
        "der die das den dem ein eine einen einem einer und oder mit im am zu von für auf ist sind",
    )
)
_STOP_WORDS = _DANGLING | {"this", "there", "has", "have", "been", "being", "they", "she"}


@cache
def _phrases(fault: str) -> re.Pattern[str]:
    """The phrases of one fault, in all languages."""
    import yaml

    languages = yaml.safe_load(Path(__file__).with_name("phrases.yaml").read_text("utf-8"))
    parts = languages.pop("parts")
    patterns = [p for faults in languages.values() for p in faults.get(fault, ())]
    whole = "|".join(f"(?:{pattern})" for pattern in patterns)
    for name, part in parts.items():
        whole = whole.replace(f"%{name}%", part)
    return re.compile(whole, 0 if fault == "first_person" else re.IGNORECASE)


def _said(fault: str, text: str) -> int:
    """How many phrases of a fault a text has outside of quotation marks."""
    return sum(1 for _ in _phrases(fault).finditer(_QUOTED.sub(" ", text)))


def words_in_order(text: str) -> list[str]:
    """The words of a text in lower case; a Chinese or kana character is one, and marks are none."""
    return _WORD.findall(text.lower())[:_MOST_WORDS]


def _is_cjk(words: Sequence[str]) -> bool:
    return 2 * sum(_IS_CJK.match(word) is not None for word in words) > len(words)


def repeated_share(words: Sequence[str]) -> float:
    """The share (0 to 1) of words that are in a phrase of PHRASE words that came before.

    The formula is the one for duplicate n-grams of Rae et al., "Scaling Language Models" (2021),
    table A1, by words in place of characters.
    """
    length = CJK_PHRASE if _is_cjk(words) else PHRASE
    seen: set[tuple[str, ...]] = set()
    repeated = [False] * len(words)
    for at in range(len(words) - length + 1):
        phrase = tuple(words[at : at + length])
        if phrase in seen:
            repeated[at : at + length] = [True] * length
        seen.add(phrase)
    return sum(repeated) / len(words) if words else 0.0


def times_in_a_row(words: Sequence[str]) -> int:
    """How often one phrase of any length stands in a row at most; 1: nothing is repeated."""
    most = 1
    for length in range(1, min(_LONGEST_LOOP, len(words) // 2) + 1):
        run = 0
        for word, before in zip(words[length:], words, strict=False):
            run = run + 1 if word == before else 0
            most = max(most, run // length + 1)
    return most


def is_unfinished(text: str) -> bool:
    """Whether the end of a text is missing, as when a captioner ran out of tokens.

    A text ends in the middle when a bracket stays open, after a comma, a dash or three dots, after
    a word such as `the` or `with`, and without a full stop where its earlier sentences have one. A
    single phrase without a full stop is whole.
    """
    if any(text.count(pair[0]) > text.count(pair[1]) for pair in _PAIRS):
        return True
    bare = text.rstrip(_CLOSING)
    if not bare:
        return False
    if bare.endswith(("...", "…", ",", "，", "、", ";", "；", ":", "：", "-", "–", "—", "(", "（")):
        return True
    if bare[-1] in _ENDS:
        return False
    words = words_in_order(bare)
    if words and words[-1] in _DANGLING and len(words) > 1:
        return True
    return _SENTENCE_END.search(bare) is not None


def is_refusal(text: str) -> bool:
    """Whether the captioner says that it cannot, must not, or has nothing to describe."""
    return _said("refusal", text) > 0


def leaks_prompt(text: str, prompt: str = "") -> bool:
    """Whether a text holds what belongs to the talk with the model: its prompt, marks of roles or
    of a chat template, or an answer's first and last words ("Sure, here is a caption:").
    """
    if _said("leak", text):
        return True
    words, asked = words_in_order(text), words_in_order(prompt)
    length = LEAKED * (2 if _is_cjk(asked) else 1)
    phrases = {tuple(asked[at : at + length]) for at in range(len(asked) - length + 1)}
    return any(tuple(words[at : at + length]) in phrases for at in range(len(words)))


def filler(text: str) -> int:
    """How many phrases talk of the video instead of what it shows: "in this video"."""
    return _said("filler", text)


def first_person(text: str) -> int:
    """How many words speak of the captioner: I, we, our."""
    return _said("first_person", text)


def agreement(texts: Sequence[str]) -> float | None:
    """How far texts name the same things: the mean over all pairs of 2 x (words that both have) /
    (words of the one + words of the other), 0 to 1 (Dice, 1945). Words such as `the` do not count.
    None with fewer than two texts that have words.
    """
    sets = [words for text in texts if (words := set(words_in_order(text)) - _STOP_WORDS)]
    pairs = [(a, b) for n, a in enumerate(sets) for b in sets[:n]]
    if not pairs:
        return None
    return sum(2 * len(a & b) / (len(a) + len(b)) for a, b in pairs) / len(pairs)
