"""Draws sources made of parts: each part has a clock of its own, and perhaps another size or rate.

Frames carry their number in the whole, so that a test can tell which are where.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from tests.media import B_FRAMES, CLOSED, OPEN_GOP, Encoding, picture, write_video

MPEG2 = Encoding("mpeg2video", options={"g": "12", "bf": "2"})
SIZE = (160, 96)


@dataclass(frozen=True)
class Parts:
    """A source, and how many frames each of its parts has."""

    path: Path
    counts: Sequence[int]

    @property
    def bounds(self) -> list[tuple[int, int]]:
        """The frames of each part: the first, and the first after it."""
        ends = [sum(self.counts[: i + 1]) for i in range(len(self.counts))]
        return list(zip([0, *ends], ends, strict=False))


@dataclass(frozen=True)
class Part:
    """A part of a source: `start` is the first time stamp in frames."""

    encoding: Encoding = B_FRAMES
    count: int = 30
    start: int = 0
    size: tuple[int, int] = SIZE


_KINDS: dict[str, tuple[str, Sequence[Part]]] = {
    "ts": (".ts", [Part(), Part()]),
    "ts_longer": (".ts", [Part(count=24), Part(count=60)]),
    "ts_three": (".ts", [Part(), Part(count=40), Part(count=26)]),
    "ts_open_gop": (".ts", [Part(OPEN_GOP), Part(OPEN_GOP)]),
    "ts_other_delay": (".ts", [Part(CLOSED), Part(B_FRAMES), Part(CLOSED)]),
    "ts_other_rate": (".ts", [Part(), Part(replace(B_FRAMES, rate=Fraction(50)), count=50)]),
    "ts_forth": (".ts", [Part(), Part(start=24 * 60)]),  # a minute later
    "ts_sound": (".ts", [Part(replace(B_FRAMES, audio=1.25)), Part(replace(B_FRAMES, audio=1.25))]),
    "vob": (".vob", [Part(MPEG2), Part(MPEG2)]),
    "mpg": (".mpg", [Part(MPEG2), Part(MPEG2, count=40), Part(MPEG2)]),
    "turned": (".ts", [Part(), Part(start=32, size=(96, 160))]),
    "larger": (".ts", [Part(), Part(size=(320, 192)), Part()]),
    # each begins while the last picture of the one before it is shown, or the last two
    "overlapping": (
        ".ts",
        [
            Part(),
            Part(start=30, size=(96, 160)),
            Part(start=59, size=(320, 192)),
            Part(start=88, size=(192, 96)),
        ],
    ),
    "overlapping_alike": (".ts", [Part(CLOSED), Part(CLOSED, start=29), Part(CLOSED, start=57)]),
}  # fmt: skip
KINDS = tuple(_KINDS)
JUMPS = {kind: 0 if kind == "turned" else len(parts) - 1 for kind, (_, parts) in _KINDS.items()}


def draw_parts(kind: str, folder: Path) -> Parts:
    """Draw one of KINDS into folder."""
    suffix, parts = _KINDS[kind]
    whole, first = b"", 0
    for number, part in enumerate(parts):
        numbers = range(first, first + part.count)
        frames = [picture(i, scene=number, size=part.size) for i in numbers]
        encoding = replace(part.encoding, shift=part.start)
        whole += write_video(folder / f"part{number}{suffix}", frames, encoding).read_bytes()
        first += part.count
    path = folder / f"{kind}{suffix}"
    path.write_bytes(whole)
    return Parts(path, [part.count for part in parts])
