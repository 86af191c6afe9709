"""What a rewritten text says that none of the notes it was made of says."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module

from curate.configs.errors import PackageMissing
from curate.configs.packages import install

_CJK = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_KANA = "\u3040-\u30ff"
# a Chinese character, katakana in a row, or letters; hiragana are endings and particles
_WORD = re.compile(rf"[{_CJK}]|[\u30a1-\u30ff]{{2,}}|[^\W\d_{_CJK}{_KANA}]+(?:['\u2019][^\W\d_]+)?")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_GROUPED = re.compile(r"\d{1,3}(?:,\d{3})+")
_APOSTROPHE = re.compile(r"['\u2019](?:s|re|ve|ll|d|m|t)?$")

# no content: what any sentence needs, and what a text says of being a text about pictures
_EMPTY = set(
    """
    a an the this that these those it its he him his she her hers they them their theirs who whom
    whose which what where when while as if than then so thus there here i you we us our your my
    one ones some any all both each every other another others same such no not nor neither either
    and or but with without within of off on onto in into inside out outside at by to toward towards
    from for over under above below up down across along around about through between among behind
    beside near nearby next against before after during until upon
    is are was were be been being am has have had having do does did doing done can could may might
    will would shall should must seem seems seemed appear appears appeared appearing visible seen
    see show shows showing shown showed depict depicts depicting depicted feature features featuring
    featured capture captures capturing captured contain contains containing include includes
    including included display displays displayed displaying present presents presented
    scene video clip image picture footage frame shot view camera caption text
    very quite also too just only more most less least much many several few lot while still yet
    first then finally later now again together apart away back
    wear wears wearing wore worn dressed
    d ll m re s t ve don doesn didn isn aren wasn weren hasn
    el la los las un una unos unas y o u de del al con en por para que se su sus es son está están
    le les des et ou du dans avec pour qui est sont une sur au aux ce cette ces il elle ils elles
    der die das den dem des ein eine einen einem einer eines und oder mit im am zu zum zur von vom
    für auf ist sind er sie es sich
    的 了 着 在 和 与 是 有 个 一 这 那 其 中 里 上 下 他 她 它 们 地 得 被 把 为 也 都 就 及 或 不
    """.split()  # noqa: SIM905  a list of 300 quoted words is harder to read
)
# forms that no ending tells, and the commonest in captions of those that Snowball leaves apart
_IRREGULAR = {
    "men": "man", "women": "woman", "children": "child", "people": "person", "feet": "foot",
    "teeth": "tooth", "geese": "goose", "mice": "mouse", "leaves": "leaf", "knives": "knife",
    "wolves": "wolf", "shelves": "shelf", "ran": "run", "sat": "sit", "stood": "stand",
    "held": "hold", "went": "go", "gone": "go", "lay": "lie",
    "lying": "lie", "lit": "light", "rode": "ride", "ridden": "ride",
    "spoke": "speak", "took": "take", "taken": "take", "made": "make", "came": "come",
    "flew": "fly", "flown": "fly", "drove": "drive", "driven": "drive", "swam": "swim",
    "fell": "fall", "fallen": "fall", "threw": "throw", "thrown": "throw", "ate": "eat",
    "grey": "gray", "colour": "color", "coloured": "colored", "snowy": "snow", "sunny": "sun",
    "rainy": "rain", "cloudy": "cloud", "grassy": "grass", "sandy": "sand", "rocky": "rock",
    "dusty": "dust", "foggy": "fog", "windy": "wind", "icy": "ice", "wooden": "wood",
    "golden": "gold",
}  # fmt: skip
# "one" and 一 are articles more often than numbers
_VALUES = {
    word: str(value)
    for value, words in {
        2: "two 二 两 兩 dos deux zwei", 3: "three 三 tres trois drei",
        4: "four 四 cuatro quatre vier", 5: "five 五 cinco cinq fünf", 6: "six 六 seis sechs",
        7: "seven 七 siete sept sieben", 8: "eight 八 ocho huit acht", 9: "nine 九 nueve neuf neun",
        10: "ten 十 diez dix zehn", 11: "eleven once onze elf", 12: "twelve dozen doce douze zwölf",
        13: "thirteen", 14: "fourteen", 15: "fifteen", 16: "sixteen", 17: "seventeen",
        18: "eighteen", 19: "nineteen", 20: "twenty", 30: "thirty", 40: "forty", 50: "fifty",
        60: "sixty", 70: "seventy", 80: "eighty", 90: "ninety", 100: "hundred 百", 1000: "thousand",
    }.items()
    for word in words.split()
}  # fmt: skip


@dataclass(frozen=True)
class Drift:
    """`share`: 0 to 1, lower is better. `added`: the words and numbers that no note holds, in
    the order of the text.
    """

    share: float
    added: tuple[str, ...]


def check_installed() -> None:
    """Raise PackageMissing when snowballstemmer is not installed."""
    if importlib.util.find_spec("snowballstemmer") is None:
        raise PackageMissing(
            what="Comparing words", package="snowballstemmer", install=install("snowballstemmer")
        )


def languages() -> list[str]:
    """The names of the languages whose word forms are known."""
    return list(import_module("snowballstemmer").algorithms())


@lru_cache(1 << 16)
def _stem(word: str, language: str) -> str:
    """A stemmer of its own for each word that is new: it is good for one thread at a time."""
    return str(import_module("snowballstemmer").stemmer(language).stemWord(word))


def drift(text: str, notes: Sequence[str], language: str = "english") -> Drift:
    """How much a text says that none of the notes holds.

    It is the larger of two shares: of the different content words of the text, and of its different
    numbers, those that are in no note. That is 1 - coverage of Grusky, Naaman and Artzi,
    "Newsroom" (2018), by different words, without words that any sentence needs; numbers stand
    alone, because a wrong one among twenty words is not 1 / 20 wrong. 0 for a text without either.

    Words are compared by their stems (Snowball; Porter, "An algorithm for suffix stripping", 1980),
    numbers by their value: `two` is 2. A synonym is a new word, and so is a noun that names what
    notes describe. What is there, but of something else (the red of the car is now the dog's), is
    not noticed.

    `language` is one of Snowball's. Of English all words without content are known, of Spanish,
    French and German the commonest, of others none, which raises the share of what is phrased anew.
    Chinese characters and kana are compared without stems: each character, and katakana in a row.
    A translation has a share of about 1.
    """
    words, numbers = _units(text, language)
    held: set[str] = set()
    for note in notes:
        held.update(*_units(note, language))
    shares = []
    for units in (words, numbers):
        added = [unit for unit in units if unit not in held]
        shares.append(len(added) / len(units) if units else 0.0)
    both = {**words, **numbers}
    new = sorted((unit for unit in both if unit not in held), key=lambda u: both[u][0])
    return Drift(max(shares), tuple(both[unit][1] for unit in new))


_Units = dict[str, tuple[int, str]]  # by unit: where it stands first, and how it is written there


def _units(text: str, language: str) -> tuple[_Units, _Units]:
    """The content words of a text, by stem, and its numbers, by value."""
    words: _Units = {}
    numbers: _Units = {}
    for match in _NUMBER.finditer(text):
        written = match.group()
        value = written.replace(",", "") if _GROUPED.fullmatch(written) else written
        numbers.setdefault(value.replace(",", "."), (match.start(), written))
    for match in _WORD.finditer(text):
        written = match.group()
        word = _APOSTROPHE.sub("", written.lower())
        if word in _VALUES:
            numbers.setdefault(_VALUES[word], (match.start(), written))
        elif word not in _EMPTY and (len(word) > 1 or not word.isascii()):
            unit = _stem(_IRREGULAR.get(word, word), language)
            words.setdefault(unit, (match.start(), written))
    return words, numbers
