"""Quantiles and histograms of the values of a column: for `curate stats`, and for the page Scores,
where a threshold is where it seems to be.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

SHARES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)  # of the quantiles that are shown
SKEWED = 20.0  # where the maximum is more than so many medians, the axis is logarithmic
DECADES = 6  # of a logarithmic axis, at most


def quantiles(values: Floats) -> dict[float, float]:
    """The quantiles of the finite values by SHARES, on the line between two of them; empty where
    there is none.
    """
    finite = values[np.isfinite(values)]
    if not len(finite):
        return {}
    return dict(zip(SHARES, np.quantile(finite, SHARES).tolist(), strict=True))


@dataclass(frozen=True)
class Binned:
    """Bins of the values of a column.

    A bin holds its lower edge, and with `upper` its upper edge instead; the outermost hold both,
    and infinite values. So each bin is on one side of the threshold, which is an edge with a bin on
    either side. `places` are the bins of the values, -1 for NULL. With `log` the edges grow by a
    factor; the first bin then holds what is smaller than `edges[1]`, zeros too.
    """

    edges: Floats
    log: bool
    places: NDArray[np.int16]
    quantiles: dict[float, float]

    def counts(self, rows: Bools | None = None) -> list[int]:
        """How many measured values are in each bin, of all rows or of some."""
        places = self.places if rows is None else self.places[rows]
        counts = np.bincount(places[places >= 0], minlength=len(self.edges) - 1)
        return [int(count) for count in counts]

    @property
    def measured(self) -> int:
        """How many values are not NULL."""
        return int(np.count_nonzero(self.places >= 0))


def histogram(
    values: Floats, whole: bool, most: int, upper: bool = False, threshold: float | None = None
) -> Binned | None:
    """The histogram of a column; None where nothing is measured. NaN is NULL.

    `whole`: the column holds whole numbers, which have a bin each where `most` bins are enough.
    `upper`: the bins hold their upper edges, which suits the comparisons `<=` and `>`; `threshold`
    becomes an edge, which may add two bins.
    """
    if np.isnan(values).all():
        return None
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    each = whole and high - low < most
    positive = finite[finite > 0]
    skewed = len(positive) > 0 and high > SKEWED * float(np.median(positive))
    log = low >= 0 and not each and skewed
    first, last = (low, high) if threshold is None else (min(low, threshold), max(high, threshold))
    if log:
        floor = max(float(np.quantile(positive, 0.01)), high / 10**DECADES)
        inner = np.geomspace(min(floor, last / 2), last, most)
        edges = np.unique([first, *inner[:-1], last])
    elif whole and last - first < most:  # each number is an edge
        shift = (-1, 1) if upper else (0, 2)
        edges = np.arange(np.floor(first) + shift[0], np.ceil(last) + shift[1], 1.0)
    elif first == last:
        size = abs(first) / 2 or 0.5
        edges = np.array([first - size, first + size])
    else:  # without the difference, which may be beyond the largest number
        share = np.linspace(0, 1, most + 1)
        edges = np.unique(np.clip(first * (1 - share) + last * share, first, last))
    if threshold is not None:
        edges = np.union1d(edges, [threshold])
        if upper and threshold <= low:  # beyond a threshold at either end, one more bin
            edges = np.concatenate([[2 * edges[0] - edges[1]], edges])
        elif not upper and threshold >= high:
            edges = np.append(edges, 2 * edges[-1] - edges[-2])
    places = np.searchsorted(edges, values, side="left" if upper else "right") - 1
    places = np.clip(places, 0, len(edges) - 2).astype(np.int16)
    places[np.isnan(values)] = -1
    return Binned(edges, log, places, quantiles(finite))
