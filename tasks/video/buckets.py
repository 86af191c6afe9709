"""Chooses for a clip the bucket, a size and number of frames, in which trainers batch it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from curate.configs.errors import ConfigError
from curate.configs.pipeline import hint

FILE = "file://"
PRESETS = Path(__file__).with_suffix(".yaml")
SMALLEST, LARGEST = 16, 8192  # pixels of a side
MOST_FRAMES = 100_000
MOST = 1000  # buckets of a table
_NAME = re.compile(r"([1-9]\d{0,5})x([1-9]\d{0,5})x([1-9]\d{0,6})", re.ASCII)
_SIZE = re.compile(r"[1-9]\d{0,5}x[1-9]\d{0,5}", re.ASCII)

Misfit = Literal["too_short", "too_small", "other_aspect"]


class BucketShape(NamedTuple):
    """A shape that clips are brought to: pixels, and frames."""

    height: int
    width: int
    frames: int

    @property
    def name(self) -> str:
        """``HEIGHTxWIDTHxFRAMES``, such as 480x832x81."""
        return "x".join(map(str, self))

    @property
    def volume(self) -> int:
        """Pixels of all its frames."""
        return self.height * self.width * self.frames


def parse_bucket(name: str) -> BucketShape:
    """The bucket of a name. Raises ValueError for one that no clip can have."""
    found = _NAME.fullmatch(name)
    if not found:
        raise ValueError(f"{name} is no bucket; write HEIGHTxWIDTHxFRAMES, such as 480x832x81")
    bucket = BucketShape(*map(int, found.groups()))
    for side in bucket[:2]:
        if side % 2 or not SMALLEST <= side <= LARGEST:
            why = f"sides are even numbers of pixels from {SMALLEST} to {LARGEST}"
            raise ValueError(f"bucket {name}: {why}, not {side}")
    if bucket.frames > MOST_FRAMES:
        raise ValueError(f"bucket {name}: it has more than {MOST_FRAMES} frames")
    return bucket


def read_table(written: Any) -> tuple[str, ...]:
    """The names of all buckets of a table as people write it, each once.

    It is one, or a list, of: the name of a preset; ``file://table.yaml``, a file that holds such a
    table; the name of a bucket; a mapping of sizes (HEIGHTxWIDTH) and frames, each a list, which
    stands for every pair. Raises ValueError.
    """
    names = tuple(dict.fromkeys(parse_bucket(name).name for name in _names(written)))
    if len(names) > MOST:
        raise ValueError(f"it has {len(names)} buckets; {MOST} is the most")
    return names


def _names(written: Any, files: bool = True) -> Iterable[str]:
    for part in written if isinstance(written, list | tuple) else [written]:
        if isinstance(part, dict):
            yield from _pairs(part)
        elif not isinstance(part, str):
            raise ValueError(f"{part!r} is no bucket, no preset and no row with sizes and frames")
        elif part.startswith(FILE) and files:
            path = Path(part.removeprefix(FILE)).expanduser()
            yield from _names(_load(path), files=False)
        elif _NAME.fullmatch(part):
            yield part
        elif part in presets():
            yield from _names(presets()[part])
        else:
            known = hint(part, presets())
            what = "is no bucket, such as 480x832x81, and no preset"
            raise ValueError(f"{part} {what}; {known}")


def _pairs(row: dict[str, Any]) -> Iterable[str]:
    """The names of the buckets of a mapping of sizes and frames."""
    if set(row) != {"sizes", "frames"}:
        raise ValueError(f"a row has sizes: and frames:, not {', '.join(map(str, row)) or 'none'}")
    sizes, frames = (v if isinstance(v, list) else [v] for v in (row["sizes"], row["frames"]))
    for size in sizes:
        if not isinstance(size, str) or not _SIZE.fullmatch(size):
            raise ValueError(f"size {size!r}: write HEIGHTxWIDTH, such as 480x832")
        for count in frames:
            if not isinstance(count, int) or isinstance(count, bool) or count < 1:
                raise ValueError(f"frames {count!r}: write whole numbers from 1, such as [25, 49]")
            yield f"{size}x{count}"


@cache
def presets() -> dict[str, list[dict[str, Any]]]:
    """The tables that come with curate, by name."""
    loaded: dict[str, list[dict[str, Any]]] = _load(PRESETS)
    return loaded


def _load(path: Path) -> Any:
    from curate.configs.yaml_reader import load_file

    try:
        return load_file(path)
    except ConfigError as error:
        raise ValueError(f"{path}: {error.fields['why']}") from None


class Choice(NamedTuple):
    """The bucket of a clip and the share of a picture that is lost in it; or why it has none."""

    bucket: BucketShape | None
    lost: float | None = None
    misfit: Misfit | None = None


@dataclass(frozen=True)
class BucketTable:
    """The buckets that clips may have, and what they may cost.

    A side may grow by the factor `enlarge` at most. `max_lost` is the largest share of the picture
    that a crop to the bucket may cut away; black bars would fill as much of the bucket.
    """

    buckets: Sequence[BucketShape]
    enlarge: float = 1.0
    max_lost: float = 1.0
    _by_size: dict[tuple[int, int], list[tuple[BucketShape, float]]] = field(default_factory=dict)

    def choose(self, height: int, width: int, frames: int) -> Choice:
        """The bucket in which most of a clip is kept: pixels of all frames * share not lost.

        Of several such, the one that loses least, then the one with most frames, then the largest
        by height. A clip has none when it is shorter than all of them (too_short), smaller than
        those it is long enough for (too_small), or too wide or too tall for them (other_aspect).
        """
        size = height, width
        if size not in self._by_size:
            self._by_size[size] = self._ranked(height, width)
        for bucket, lost in self._by_size[size]:
            if bucket.frames <= frames:
                return Choice(bucket, lost)
        short_enough = [bucket for bucket in self.buckets if bucket.frames <= frames]
        if not short_enough:
            return Choice(None, misfit="too_short")
        if not any(self._covered(bucket, height, width) for bucket in short_enough):
            return Choice(None, misfit="too_small")
        return Choice(None, misfit="other_aspect")

    def _covered(self, bucket: BucketShape, height: int, width: int) -> bool:
        factor = Fraction(self.enlarge).limit_denominator(1000)
        return bucket.height <= height * factor and bucket.width <= width * factor

    def _ranked(self, height: int, width: int) -> list[tuple[BucketShape, float]]:
        """The buckets that a picture of this size fits, best first, with what is lost."""
        most = Fraction(self.max_lost).limit_denominator(1_000_000)
        fitting = []
        for bucket in self.buckets:
            sides = sorted((bucket.width * height, width * bucket.height))
            kept = Fraction(sides[0], sides[1])  # exact, so that a tie is a tie
            if self._covered(bucket, height, width) and 1 - kept <= most:
                rank = bucket.volume * kept, kept, bucket.frames, bucket.height
                fitting.append((rank, bucket, float(1 - kept)))
        fitting.sort(key=lambda one: one[0], reverse=True)
        return [(bucket, lost) for _, bucket, lost in fitting]
