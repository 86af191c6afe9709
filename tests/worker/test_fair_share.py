"""Datasets share the workers: whoever had least comes first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from curate.worker.fair_share import LAG, FairShare


@given(st.lists(st.floats(0.1, 5), min_size=3, max_size=200))
def test_what_datasets_get_never_differs_by_more_than_one_batch(costs: list[float]) -> None:
    fair_share, had = FairShare(), {1: 0.0, 2: 0.0, 3: 0.0}
    for cost in costs:
        first = fair_share.order(had)[0]
        fair_share.charge(first, cost)
        had[first] += cost
    assert max(had.values()) - min(had.values()) <= max(costs) + 1e-6


def test_a_new_dataset_does_not_catch_up_with_what_it_never_missed() -> None:
    fair_share = FairShare()
    fair_share.order([1])
    fair_share.charge(1, 1000.0)
    served = []
    for _ in range(20):
        served.append(fair_share.order([1, 2])[0])
        fair_share.charge(served[-1], 1.0)
    assert 9 <= served.count(1) <= 11


def test_one_that_had_nothing_to_do_catches_up_by_no_more_than_the_lag() -> None:
    fair_share = FairShare()
    fair_share.order([1, 2])
    fair_share.charge(1, 10_000.0)
    served = 0
    while fair_share.order([1, 2])[0] == 2:
        fair_share.charge(2, 1.0)
        served += 1
    assert served <= LAG + 1


def test_a_dataset_without_the_stage_keeps_what_it_had() -> None:
    fair_share = FairShare()
    fair_share.order([1, 2])
    fair_share.charge(2, 5.0)
    fair_share.order([1])
    assert fair_share.order([1, 2])[0] == 1
