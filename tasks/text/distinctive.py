"""The words that tell groups of texts apart."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping

# pairs of Chinese characters, else words of three letters and more
_WORD = re.compile(r"[\u4e00-\u9fff]{2}|[^\W\d_\u4e00-\u9fff]{3,}")


def words_of(text: str) -> set[str]:
    """The words of a text, in lower case."""
    return set(_WORD.findall(text.lower()))


def distinctive(
    counts: Mapping[int, Counter[str]], texts: Mapping[int, int], most: int, share: float = 0.1
) -> dict[int, list[str]]:
    """For each group at most `most` words that more of its texts have than those of all groups.

    `counts` says how many texts of a group have a word, of how many `texts`. A word counts by the
    share of the group's texts that have it (at least `share`) times the logarithm of how much that
    exceeds the share in all groups. A group without such a word gets its most common ones.
    """
    total = sum(texts.values())
    overall: Counter[str] = Counter()
    for words in counts.values():
        overall.update(words)
    names = {}
    for group, words in counts.items():
        rated = []
        for word, number in words.items():
            own = number / texts[group]
            excess = own * math.log(own * total / overall[word])
            if own >= share:
                rated.append((-round(max(excess, 0.0), 9), -own, word))
        rated.sort()
        telling = [word for excess, _, word in rated if excess < 0]
        names[group] = (telling or [word for *_, word in rated])[:most]
    return names
