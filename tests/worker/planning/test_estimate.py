"""Sums over all videos from those sampled: the ratio, its driver, and how often it is right."""

from __future__ import annotations

import math

import numpy as np
import pytest

from curate.worker.planning import estimate
from curate.worker.planning.estimate import Estimator, Interval, student
from curate.worker.planning.population import Floats, choose
from tests.worker.planning.test_population import made


def estimator(pixels: Floats, sample: int, seed: int = 0) -> Estimator:
    videos = made(list(pixels))
    return Estimator(videos, choose(videos, sample, seed), seed)


def test_costs_that_go_by_pixels_are_told_exactly() -> None:
    pixels = np.random.default_rng(0).lognormal(sigma=1, size=100)
    found = estimator(pixels, 10)
    cost = found.estimate(3 * pixels[found.chosen])
    assert cost.driver == "pixels"
    assert cost.value == pytest.approx(3 * pixels.sum())
    high = found.interval(cost).high
    unseen = math.sqrt(0.9 / (10 * 12))
    assert high == pytest.approx(cost.value * math.exp(student(8) * unseen), rel=1e-3)


def test_costs_that_are_alike_go_by_the_number_of_videos() -> None:
    found = estimator(np.random.default_rng(0).lognormal(sigma=1, size=100), 10)
    cost = found.estimate(np.full(10, 2.0))
    assert (cost.driver, cost.value) == ("videos", pytest.approx(200))


@pytest.mark.parametrize("noise", [0.2, 1.0])
def test_intervals_hold_the_truth_as_often_as_they_say(
    noise: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """95 of 100, by 200 samples: fewer than 89 % of so many come once in 10 000 times."""
    monkeypatch.setattr(estimate, "REPEATS", 400)
    random = np.random.default_rng(5)
    pixels = random.lognormal(sigma=1, size=300)
    costs = pixels**0.9 * random.lognormal(sigma=noise, size=300)
    right = 0
    for seed in range(200):
        found = estimator(pixels, 12, seed)
        right += found.interval(found.estimate(costs[found.chosen])).holds(costs.sum())
    assert right / 200 >= 0.89


def test_a_sample_of_all_leaves_only_what_differs_between_runs() -> None:
    found = estimator(np.arange(1.0, 6.0), 20)
    cost = found.estimate(np.array([5.0, 1.0, 7.0, 2.0, 3.0]))
    assert cost.value == pytest.approx(18)
    exact = found.interval(cost)
    assert exact.low == pytest.approx(18) and exact.high == pytest.approx(18)
    noisy = found.interval(cost, noise=0.1)
    assert noisy.high == pytest.approx(18 * math.exp(1.96 * 0.1), rel=1e-3)


def test_one_sampled_video_or_nothing_found_gives_no_bound() -> None:
    pixels = np.ones(50)
    one, some = estimator(pixels, 1), estimator(pixels, 6)
    assert one.interval(one.estimate(np.ones(1))) == Interval(pytest.approx(50), 0.0, None)
    assert some.interval(some.estimate(np.zeros(6))) == Interval(0.0, 0.0, None)


def test_what_is_summed_varies_together() -> None:
    found = estimator(np.ones(50), 10)
    one = found.estimate(np.arange(10.0))
    both = found.interval(one + one)
    single = found.interval(one)
    assert both.value == pytest.approx(2 * single.value)
    assert both.high == pytest.approx(2 * (single.high or 0))


def test_quantiles_are_those_of_the_tables() -> None:
    assert student(10) == pytest.approx(2.228, abs=1e-3)
    assert student(0) == pytest.approx(1.960, abs=1e-3)
