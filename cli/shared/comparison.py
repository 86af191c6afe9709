"""What the captions of two captioners have in common, in figures."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from curate.db.caption_pairs import CaptionPair, PairedCaption
from curate.db.votes import VoteCounts
from curate.tasks.text.checks import agreement
from curate.tasks.text.measure import words


@dataclass
class Means:
    """The captions of one captioner: means of their words and of their match (None: not scored)."""

    words: float = 0.0
    match: float | None = None


@dataclass
class Comparison:
    """The captions of two captioners. `agreement` is the mean of how far those of a clip agree;
    `least` are the pairs that agree least, the worst first.
    """

    pairs: int = 0
    a: Means = field(default_factory=Means)
    b: Means = field(default_factory=Means)
    agreement: float | None = None
    least: list[tuple[float, CaptionPair]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """As the command prints it."""
        least = [{"agreement": agreed, **asdict(pair)} for agreed, pair in self.least]
        sides = {"of_a": asdict(self.a), "of_b": asdict(self.b)}
        return {"clips": self.pairs, **sides, "agreement": self.agreement, "least_alike": least}


class _Mean:
    def __init__(self) -> None:
        self._sum, self._count = 0.0, 0

    def add(self, value: float | None) -> None:
        if value is not None:
            self._sum += value
            self._count += 1

    @property
    def value(self) -> float | None:
        return self._sum / self._count if self._count else None


def compare_pairs(
    pairs: Iterable[CaptionPair], show: Callable[[int], None], least: int
) -> Comparison:
    """Compare the captions of each pair; memory does not grow with their number. `show` is told
    how many are done; `least` pairs that agree least are kept.
    """
    found = Comparison()
    lengths, matches, agreed = (_Mean(), _Mean()), (_Mean(), _Mean()), _Mean()
    worst: list[tuple[float, int, CaptionPair]] = []  # a heap of the best of the worst first
    for found.pairs, pair in enumerate(pairs, 1):
        both: tuple[PairedCaption, PairedCaption] = (pair.a, pair.b)
        for caption, length, match in zip(both, lengths, matches, strict=True):
            length.add(words(caption.text))
            match.add(caption.match)
        alike = agreement([pair.a.text, pair.b.text])
        agreed.add(alike)
        if alike is not None:
            keep = heapq.heappush if len(worst) < least else heapq.heappushpop
            keep(worst, (-alike, -pair.clip, pair))
        show(found.pairs)
    found.agreement = agreed.value
    found.least = [(-negative, pair) for negative, _, pair in sorted(worst, reverse=True)]
    found.a, found.b = (
        Means(length.value or 0.0, match.value)
        for length, match in zip(lengths, matches, strict=True)
    )
    return found


def votes_json(counts: VoteCounts) -> dict[str, Any]:
    """The votes on two captioners, as commands print them."""
    return {
        "for_a": counts.a,
        "for_b": counts.b,
        "equal": counts.equal,
        "neither": counts.neither,
        "share_a": counts.share,
        "interval": counts.interval,
    }
