"""Histograms of the values of a column, whose bins lie wholly on one side of a threshold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curate.view.loading import Bools, Floats

BINS = 72
SHARES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)  # the quantiles that the page shows
SKEWED = 20.0  # where the maximum is more than so many medians, the axis is logarithmic
DECADES = 6  # of a logarithmic axis, at most


@dataclass(frozen=True)
class Binned:
    """Bins of the values of a column.

    A bin holds its lower edge, and with `upper` its upper edge instead; the outermost hold both.
    So each bin is on one side of the threshold, which is an edge with a bin on either side.
    `places` are the bins of the values, -1 for NULL. With `log` the edges grow by a factor; the
    first bin then holds what is smaller than `edges[1]`, zeros too.
    """

    edges: Floats
    log: bool
    upper: bool
    places: NDArray[np.int16]
    quantiles: list[float]  # by SHARES

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
    values: Floats, whole: bool, upper: bool = False, threshold: float | None = None
) -> Binned | None:
    """The histogram of a column; None where nothing is measured. NaN is NULL.

    `whole`: the column holds whole numbers. `upper`: the bins hold their upper edges, which suits
    the comparisons `<=` and `>`; `threshold` becomes an edge.
    """
    measured = values[~np.isnan(values)]
    if not len(measured):
        return None
    finite = bool(np.isfinite(measured).all())
    # no quantile lies between a number and infinity
    quantiles = np.quantile(measured, SHARES, method="linear" if finite else "nearest")
    low, high = float(quantiles[0]), float(quantiles[-1])
    shown = measured[np.isfinite(measured)]
    if not finite:
        low, high = (float(shown.min()), float(shown.max())) if len(shown) else (0.0, 1.0)
    ends = (low, high) if threshold is None else (min(low, threshold), max(high, threshold))
    positive = measured[(measured > 0) & np.isfinite(measured)]
    each = whole and high - low < BINS  # a bin for each number
    skewed = len(positive) > 0 and high > SKEWED * float(np.median(positive))
    log = low >= 0 and not each and skewed
    edges = _edges(ends, log, whole, measured, upper)
    if threshold is not None:
        edges = np.union1d(edges, [threshold])
        if upper and threshold <= low:  # beyond a threshold at either end, one more bin
            edges = np.concatenate([[2 * edges[0] - edges[1]], edges])
        elif not upper and threshold >= high:
            edges = np.append(edges, 2 * edges[-1] - edges[-2])
    places = np.searchsorted(edges, values, side="left" if upper else "right") - 1
    places = np.clip(places, 0, len(edges) - 2).astype(np.int16)
    places[np.isnan(values)] = -1
    return Binned(edges, log, upper, places, [float(q) for q in quantiles])


def _edges(
    ends: tuple[float, float], log: bool, whole: bool, measured: Floats, upper: bool
) -> Floats:
    low, high = ends
    if log:
        positive = measured[(measured > 0) & np.isfinite(measured)]
        floor = max(float(np.quantile(positive, 0.01)), high / 10**DECADES)
        inner = np.geomspace(min(floor, high / 2), high, BINS)
        return np.concatenate([[min(0.0, low)], inner])
    if whole and high - low < BINS:  # a bin for each number, which is one of its edges
        first, last = np.floor(low), np.ceil(high)
        shift = (-1, 1) if upper else (0, 2)
        return np.arange(first + shift[0], last + shift[1], 1.0)
    if high <= low:
        size = abs(low) / 2 or 0.5
        return np.array([low - size, low + size])
    return np.linspace(low, high, BINS + 1)
