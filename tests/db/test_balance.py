"""Groups made less unequal: quotas and weights as counts to a power; groups held out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.db.balance import Balance, held_values, shares_to_quotas

SIZES = {0: 64, 1: 16, 2: 4, 3: 1}


@given(
    st.dictionaries(st.integers(0, 99), st.integers(1, 1000), min_size=1, max_size=20),
    st.floats(0, 1),
    st.integers(0, 5000),
)
def test_quotas_add_up_and_no_group_gives_more_than_it_has(
    counts: dict[int, int], alpha: float, size: int
) -> None:
    quotas = shares_to_quotas(counts, alpha, size)
    assert sum(quotas.values()) == min(size, sum(counts.values()))
    assert all(0 <= quotas[value] <= number for value, number in counts.items())


def test_quotas_are_as_powers_of_the_counts() -> None:
    assert shares_to_quotas(SIZES, 0.5, 15) == {0: 8, 1: 4, 2: 2, 3: 1}
    assert shares_to_quotas(SIZES, 1, 17) == {0: 13, 1: 3, 2: 1, 3: 0}
    assert shares_to_quotas(SIZES, 0, 8) == {0: 3, 1: 2, 2: 2, 3: 1}, "the last has but one"


def test_weights_are_as_powers_of_the_counts_and_1_on_average() -> None:
    balance = Balance("concept", 0.5, SIZES)
    weights = balance.weights
    assert sum(n * weights[v] for v, n in SIZES.items()) == pytest.approx(sum(SIZES.values()))
    assert [64 * weights[0] / weights[3], 16 * weights[1] / weights[3]] == pytest.approx([8, 4])
    assert balance.after[0] / sum(balance.after.values()) == pytest.approx(8 / 15)


def test_held_out_groups_depend_on_the_seed_alone() -> None:
    counts = dict.fromkeys(range(100), 1)
    held = held_values(counts, 10, 0)
    assert held == held_values(dict(reversed(counts.items())), 10, 0)
    assert set(held) != set(held_values(counts, 10, 1))
    assert set(held) < set(held_values(counts, 20, 0))
