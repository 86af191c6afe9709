"""Each bin is on one side of the threshold, and holds what passes or what does not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.db.reports.histogram import histogram
from curate.view.snapshot import PASSES

BINS = 72
VALUES = [0.0, 0.125, 0.25, 0.25, 0.5, 1.0, 3.0, 100.0]


@pytest.mark.parametrize("op", ["<", "<=", ">", ">="])
@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.one_of(st.sampled_from(VALUES), st.floats(-1e3, 1e6)), min_size=1),
    threshold=st.one_of(st.sampled_from(VALUES), st.floats(-1e3, 1e6)),
)
def test_bins_on_the_passing_side_hold_what_passes(
    op: str, values: list[float], threshold: float
) -> None:
    array = np.array([*values, np.nan])
    found = histogram(array, False, BINS, upper=op in ("<=", ">"), threshold=threshold)
    assert found is not None
    counts = np.array(found.counts())
    place = int(np.searchsorted(found.edges, threshold))
    passing = counts[place:].sum() if op in (">", ">=") else counts[:place].sum()
    assert passing == np.count_nonzero(PASSES[op](array, threshold))
    assert counts.sum() == found.measured == len(values)


def test_whole_numbers_have_a_bin_each() -> None:
    values = np.array([1.0, 2.0, 2.0, 5.0])
    lower = histogram(values, True, BINS)
    upper = histogram(values, True, BINS, upper=True)
    assert lower is not None and upper is not None
    assert (lower.edges[0], lower.edges[-1], lower.counts()) == (1, 6, [1, 2, 0, 0, 1])
    assert (upper.edges[0], upper.edges[-1], upper.counts()) == (0, 5, [1, 2, 0, 0, 1])


def test_a_skewed_column_has_a_logarithmic_axis_with_its_zeros_in_the_first_bin() -> None:
    values = np.array([0.0, 0.0, *[1.0] * 50, 1000.0])
    found = histogram(values, False, BINS)
    assert found is not None and found.log
    assert found.counts()[0] >= 2 and found.edges[0] == 0 and found.edges[-1] == 1000
    even = histogram(np.linspace(0, 1, 100), False, BINS)
    assert even is not None and not even.log


def test_an_axis_without_zeros_begins_at_the_smallest_value() -> None:
    found = histogram(np.array([0.25] * 19 + [1000.0]), False, BINS)
    assert found is not None and found.log
    assert (found.edges[0], found.edges[-1]) == (0.25, 1000)
    assert (found.counts()[0], found.counts()[-1]) == (19, 1)


def test_what_is_not_finite_is_in_the_outermost_bins_and_no_quantile() -> None:
    found = histogram(np.array([-np.inf, 1.0, 2.0, np.inf, np.inf]), False, BINS)
    assert found is not None
    assert (found.counts()[0], found.counts()[-1]) == (2, 3)
    assert (found.quantiles[0], found.quantiles[1]) == (1, 2)


def test_quantiles_are_those_of_the_measured_values() -> None:
    found = histogram(np.array([np.nan, 1.0, 2.0, 3.0]), False, BINS)
    assert found is not None
    assert (found.quantiles[0], found.quantiles[0.5], found.quantiles[1]) == (1, 2, 3)
    assert found.measured == 3


@pytest.mark.parametrize("values",
    [
        [5.0], [5.0, 5.0], [0.0], [np.inf, 1.0], [-np.inf], [1e-320], [-1e300, 1e300],
        [1e15, 1e15 + 1], [0.1, float(np.nextafter(0.1, 1))], [0.1] * 9,
    ],
)  # fmt: skip
def test_odd_values_have_a_histogram_too(values: list[float]) -> None:
    found = histogram(np.array(values), False, BINS)
    assert found is not None
    assert sum(found.counts()) == len(values)
    assert np.isfinite(found.edges).all() and (found.edges[:-1] < found.edges[1:]).all()


def test_nothing_measured_has_none() -> None:
    assert histogram(np.array([np.nan, np.nan]), False, BINS) is None
