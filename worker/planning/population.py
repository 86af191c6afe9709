"""The videos that a plan is of: how large each is, and which of them are sampled.

They are sorted by size and cut into strata that hold as much of the root of it each, four videos
sampled of a stratum or a few more: so are few large ones among many small ones not missed, as by
Dalenius and Hodges (1959), and yet each stratum tells how unlike its videos are. Of two, which may
be alike by chance, it often would not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curate.tasks.inputs.files import Input
from curate.tasks.video.glance import Glance, glance

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

MOST_GLANCED = 2000  # videos whose header is read; of more, so many at random
GLANCES_AT_ONCE = 8
PER_STRATUM = 4  # sampled videos, where there are so many
DRIVERS = ("videos", "bytes", "seconds", "frames", "pixels")


@dataclass(frozen=True)
class Population:
    """The videos to plan: all of them in number, and of those whose header was read, in `inputs`,
    how much of each driver of cost they have.
    """

    videos: int
    inputs: Sequence[Input]
    drivers: Mapping[str, Floats]  # by name, one number for each of `inputs`

    def total(self, driver: str) -> float:
        """How much of a driver all videos have together."""
        return float(self.drivers[driver].sum()) * self.videos / len(self.inputs)

    def total_error(self, driver: str) -> float:
        """The standard error of `total` as a share of it: 0 where every header was read."""
        values, unread = self.drivers[driver], 1 - len(self.inputs) / self.videos
        mean = values.mean()
        if unread == 0 or len(values) < 2 or not mean:
            return 0.0
        return float(values.std(ddof=1) / mean * np.sqrt(unread / len(values)))


@dataclass(frozen=True)
class Stratum:
    """Videos of like size. `size` counts them; `chosen` are the sampled ones, as indices of
    `Population.inputs`.
    """

    size: float
    chosen: Indices

    @property
    def whole(self) -> bool:
        """Whether all of its videos are sampled."""
        return len(self.chosen) >= self.size


def look_at(
    inputs: Iterable[Input], seed: int, show: Callable[[int, int], None] = lambda done, of: None
) -> Population:
    """Read the headers of the inputs, MOST_GLANCED at random of more. `show` is told how many.

    Raises ServiceError when the store of a URL does not answer.
    """
    joining = [one for one in inputs if not one.only_known]
    videos = len(joining)
    if videos > MOST_GLANCED:
        chosen = np.random.default_rng(seed).choice(videos, MOST_GLANCED, replace=False)
        joining = [joining[i] for i in sorted(chosen)]
    looks: list[Glance] = []
    with ThreadPoolExecutor(GLANCES_AT_ONCE) as pool:
        for look in pool.map(glance, [one.path for one in joining]):
            looks.append(look)
            show(len(looks), len(joining))
    # a fingerprint begins with the bytes of the file, where they can be told
    numbers = [one.fingerprint.partition("-")[0] for one in joining]
    sizes = [float(number) if number.isdecimal() else 0.0 for number in numbers]
    rows = [(1.0, size, *look) for size, look in zip(sizes, looks, strict=True)]
    columns = np.array(rows, float).reshape(-1, len(DRIVERS)).T
    return Population(videos, joining, dict(zip(DRIVERS, columns, strict=True)))


def choose(population: Population, sample: int, seed: int) -> list[Stratum]:
    """Strata of the videos, with `sample` chosen of all of them, or all where there are fewer."""
    count = len(population.inputs)
    scale = population.videos / count
    if sample >= count:
        return [Stratum(count * scale, np.arange(count))]
    pixels = population.drivers["pixels"]
    measure = np.sqrt(pixels if pixels.any() else population.drivers["bytes"])
    measure = measure + (measure.mean() or 1.0) * 1e-3  # nothing is never looked at
    order = np.argsort(measure, kind="stable")
    members = _cut(order, measure[order], max(1, sample // PER_STRATUM))
    random = np.random.default_rng(seed)
    shares = _allocate([len(one) for one in members], sample)
    chosen = [random.choice(one, n, replace=False) for one, n in zip(members, shares, strict=True)]
    return [Stratum(len(m) * scale, np.sort(c)) for m, c in zip(members, chosen, strict=True)]


def _cut(order: Indices, measure: Floats, strata: int) -> list[Indices]:
    """The sorted videos in so many parts or fewer, of equal sums, each of PER_STRATUM or more."""
    shares = np.minimum(strata - 1, np.cumsum(measure) / measure.sum() * strata)
    bounds = [0]
    for wanted in np.searchsorted(shares, np.arange(1, strata)):
        bound = min(int(wanted), len(order) - PER_STRATUM)  # the largest may be alone, and few
        if bound - bounds[-1] >= PER_STRATUM:
            bounds.append(bound)
    return np.split(order, bounds[1:])


def _allocate(sizes: Sequence[int], sample: int) -> list[int]:
    """How many videos of each stratum are sampled: as many of each, but no more than there are."""
    shares = [min(size, PER_STRATUM, sample) for size in sizes]
    while (left := sample - sum(shares)) > 0:
        open_ones = [i for i, size in enumerate(sizes) if shares[i] < size]
        # the largest videos vary most, and are the last
        for i in open_ones[::-1][:left]:
            shares[i] += 1
    return shares
