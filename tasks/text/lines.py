"""Texts that were read in several frames, each told once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher

SAME = 0.8  # least share of letters that two readings of one text have in common


@dataclass(frozen=True)
class Line:
    """A text as it was read in one frame, with its score and its share of the picture."""

    text: str
    score: float
    area: float

    @property
    def letters(self) -> str:
        """The text without spaces, whatever its case."""
        return "".join(self.text.casefold().split())


@dataclass
class StandingText:
    """A text of several frames: the best of its readings, and its largest share of the picture."""

    best: Line
    area: float = 0.0
    frames: set[int] = field(default_factory=set)
    readings: set[str] = field(default_factory=set)

    def is_read_as(self, line: Line, frame: int) -> bool:
        """Whether a line of a frame may be this text; two lines of one frame are only if equal."""
        if line.letters in self.readings:
            return True
        return frame not in self.frames and any(
            SequenceMatcher(None, line.letters, other, False).ratio() >= SAME
            for other in self.readings
        )

    def add(self, line: Line, frame: int) -> None:
        """One more reading of this text."""
        self.frames.add(frame)
        self.readings.add(line.letters)
        self.area = max(self.area, line.area)
        if line.score > self.best.score:
            self.best = line


def standing(frames: Iterable[Sequence[Line]]) -> list[StandingText]:
    """The texts of frames, each once; what stands in most frames first, then the largest.

    Two readings are of one text when at least 0.8 of their letters, apart from spaces and case, are
    the same in order.
    """
    found: list[StandingText] = []
    for number, lines in enumerate(frames):
        for line in lines:
            known = next((one for one in found if one.is_read_as(line, number)), None)
            if known is None:
                found.append(known := StandingText(line))
            known.add(line, number)
    return sorted(found, key=lambda one: (-len(one.frames), -one.area))
