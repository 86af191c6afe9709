"""What captions of two captioners have in common."""

from __future__ import annotations

from curate.cli.shared.comparison import Means, compare_pairs
from curate.db.caption_pairs import CaptionPair, PairedCaption


def pair(clip: int, a: str, b: str) -> CaptionPair:
    return CaptionPair(
        clip, PairedCaption(2 * clip, a, None), PairedCaption(2 * clip + 1, b, 20.0 + clip)
    )


def test_means_and_the_pairs_that_agree_least() -> None:
    told: list[int] = []
    three = [pair(1, "a cat", "a cat"), pair(2, "dog", "bird"), pair(3, "cat tree", "tree house")]
    found = compare_pairs(three, told.append, least=2)
    assert (found.pairs, told, found.agreement) == (3, [1, 2, 3], 0.5)
    assert (found.a, found.b) == (Means(5 / 3, None), Means(5 / 3, 22.0))
    assert [(agreed, each.clip) for agreed, each in found.least] == [(0, 2), (0.5, 3)]


def test_no_pair_has_no_means() -> None:
    found = compare_pairs([], lambda _: None, least=2)
    assert (found.pairs, found.agreement, found.least) == (0, None, [])
