"""What all videos cost, estimated from those sampled: a ratio, and how sure it is.

With the weight w of a sampled video (how many videos of its stratum it stands for), what it costs y
and how much of a driver of cost it has x, the whole costs ``X sum(w y) / sum(w x)`` where X is what
all videos have of the driver: the combined ratio estimator (Cochran, Sampling Techniques, 1977,
6.11). Of the drivers the one counts by which the costs of the sampled videos are told best: that of
the least ``sum(w (y - r x)^2) (X / sum(w x))^2`` with the ratio r.

Its error is found by bootstrap: of the n videos of a stratum n - 1 are drawn again with
replacement, and the weights are rescaled, with the correction for a stratum of which a share f is
sampled (Rao and Wu 1988; Rao, Wu and Yue 1992)::

    w* = w (1 - sqrt(1 - f) + sqrt(1 - f) n / (n - 1) times drawn)

A kind of video that was not sampled shows in no bootstrap. By Laplace's rule of succession one
video of n + 2 is of such a kind; it is taken to cost nothing or twice as much, which adds the
standard error ``sqrt((1 - f) / (n (n + 2)))`` as a share of what is not certain.

The interval is ``value / k`` to ``value k`` with k = exp(t s): s is the standard error as a share
of the value, t the quantile of Student's distribution with as many degrees of freedom as sampled
videos exceed strata. Costs are positive and skewed, hence the logarithm.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.special import ndtri, stdtrit

from curate.worker.planning.population import DRIVERS, Floats, Population, Stratum

REPEATS = 2000  # of the bootstrap
LEVEL = 0.95  # of intervals
LONGEST = 50.0  # an interval reaches no further than so many times the value


@dataclass(frozen=True)
class Interval:
    """A predicted value, and where the true one is with the probability LEVEL.

    `high` is None where the sample cannot tell.
    """

    value: float
    low: float
    high: float | None

    def as_json(self) -> dict[str, float | None]:
        """Its three numbers."""
        return {"value": self.value, "low": self.low, "high": self.high}

    def holds(self, truth: float) -> bool:
        """Whether a true value is within it."""
        return self.low <= truth and (self.high is None or truth <= self.high)


@dataclass(frozen=True)
class Estimate:
    """An estimated sum over all videos: by which driver, its values in the bootstrap, and how much
    of it comes of videos that were not all sampled.
    """

    driver: str = ""
    value: float = 0.0
    repeats: Floats = field(default_factory=lambda: np.zeros(REPEATS))
    uncertain: float = 0.0

    def __add__(self, other: Estimate) -> Estimate:
        value, uncertain = self.value + other.value, self.uncertain + other.uncertain
        return Estimate("", value, self.repeats + other.repeats, uncertain)

    def plus(self, constant: float) -> Estimate:
        """The same with what does not depend on the videos."""
        return replace(self, value=self.value + constant, repeats=self.repeats + constant)

    def over(self, processes: int) -> Estimate:
        """The same divided among so many."""
        uncertain = self.uncertain / processes
        return Estimate("", self.value / processes, self.repeats / processes, uncertain)


class Estimator:
    """Estimates sums over all videos from values of the sampled ones.

    Those are given in the order of `chosen`, as indices of `Population.inputs`.
    """

    def __init__(self, population: Population, strata: Sequence[Stratum], seed: int) -> None:
        self.chosen = np.concatenate([stratum.chosen for stratum in strata])
        self._strata = strata
        self._population = population
        counts = [len(stratum.chosen) for stratum in strata]
        shares = [stratum.size / n for stratum, n in zip(strata, counts, strict=True)]
        self._weights = np.repeat(shares, counts)
        self._open = np.repeat([not stratum.whole for stratum in strata], counts)
        open_ones = [stratum for stratum in strata if not stratum.whole]
        size, n = sum(s.size for s in open_ones), sum(len(s.chosen) for s in open_ones)
        self._unseen = math.sqrt((1 - n / size) / (n * (n + 2))) if n else 0.0
        self._random = np.random.default_rng(seed)
        self._repeats = self._drawn()
        normal = self._random.standard_normal(REPEATS).clip(-3, 3)
        self._spread = np.concatenate([[0.0], normal])  # of totals that are not known
        self._freedom = sum(n - 1 for s, n in zip(strata, counts, strict=True) if not s.whole)
        self._alone = any(n == 1 and not s.whole for s, n in zip(strata, counts, strict=True))

    def estimate(self, values: Floats) -> Estimate:
        """The sum over all videos of what was found for each sampled one.

        Each repeat of the bootstrap chooses its driver anew, for that choice may be wrong too.
        """
        weights = np.vstack([self._weights, self._repeats])
        sums = weights @ values
        squares = weights @ values**2
        best = np.full(len(weights), np.inf)
        found, names = np.zeros(len(weights)), np.zeros(len(weights), int)
        for number, driver in enumerate(DRIVERS):
            have = self._population.drivers[driver][self.chosen]
            weighted = weights @ have
            known = weighted > 0
            ratio = np.divide(sums, weighted, out=np.zeros(len(weights)), where=known)
            left_over = squares - 2 * ratio * (weights @ (values * have))
            left_over += ratio**2 * (weights @ have**2)
            total = self._population.total(driver)
            scale = np.divide(total, weighted, out=np.zeros(len(weights)), where=known)
            # by all videos, not within strata: two of a stratum may be alike by chance
            error = np.where(known, np.maximum(left_over, 0) * scale**2, np.inf)
            error += 1e-9 * (total * ratio) ** 2  # the first of equals
            spread = 1 + self._population.total_error(driver) * self._spread
            better = error < best * (1 - 1e-6)
            best[better], names[better] = error[better], number
            found[better] = (total * ratio * spread)[better]
        open_sum = float((self._weights * self._open) @ values)
        uncertain = found[0] * open_sum / sums[0] if sums[0] else 0.0
        return Estimate(DRIVERS[names[0]], float(found[0]), found[1:], float(uncertain))

    def interval(self, estimate: Estimate, noise: float = 0.0) -> Interval:
        """The interval of an estimate. `noise` is by what share two runs differ by themselves, as a
        standard deviation.
        """
        value = estimate.value
        if self._alone or (value <= 0 and not all(s.whole for s in self._strata)):
            return Interval(value, 0.0, None)
        if value <= 0:
            return Interval(0.0, 0.0, 0.0)
        seen = float(estimate.repeats.std(ddof=1)) / value
        error = math.hypot(seen, self._unseen * estimate.uncertain / value, noise)
        factor = math.exp(min(student(self._freedom) * error, math.log(LONGEST)))
        return Interval(value, value / factor, value * factor)

    def _drawn(self) -> Floats:
        """The weights of the sampled videos in each repeat of the bootstrap."""
        parts = []
        for stratum in self._strata:
            n = len(stratum.chosen)
            weight = stratum.size / n
            if stratum.whole or n == 1:
                parts.append(np.full((REPEATS, n), weight))
                continue
            drawn = self._random.multinomial(n - 1, [1 / n] * n, size=REPEATS)
            reach = math.sqrt(1 - n / stratum.size)
            parts.append(weight * (1 - reach + reach * n / (n - 1) * drawn))
        return np.concatenate(parts, axis=1)


def student(freedom: int) -> float:
    """The quantile of Student's distribution for two-sided intervals of LEVEL; of the normal one
    for no degree of freedom, where all videos are sampled.
    """
    upper = (1 + LEVEL) / 2
    return float(stdtrit(freedom, upper) if freedom else ndtri(upper))
