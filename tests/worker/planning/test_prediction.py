"""A prediction made of a trial."""

from __future__ import annotations

import numpy as np
import pytest

from curate.configs.settings import Settings
from curate.db.spending import Spent
from curate.worker.planning.estimate import Estimator
from curate.worker.planning.population import choose
from curate.worker.planning.prediction import Chosen, Predictor
from curate.worker.planning.trial import StageTrial, Trial
from tests.pipelines import pipeline
from tests.worker.planning.test_population import made


def predictor(start: float = 0.0) -> Predictor:
    """Of 100 videos of one pixel count or another, 10 sampled; two processes."""
    videos = made([1.0 + i % 3 for i in range(100)])
    strata = choose(videos, 10, seed=0)
    estimator = Estimator(videos, strata, 0)
    pixels = videos.drivers["pixels"][estimator.chosen]
    line = pipeline("score")
    nothing = np.zeros(10)
    stages = {s.name: StageTrial(nothing, nothing, nothing) for s in line.stages}
    spent = Spent(20, 1000, 400, 2.0)
    stages["score"] = StageTrial(3 * pixels, 4 * pixels, pixels, (start, start), spent)
    trial = Trial(stages, 2 * pixels, pixels, 1000 * pixels, 100 * pixels, {})
    chosen = Chosen(videos, strata, estimator)
    return Predictor(chosen, trial, line, Settings(device="CPU"), {"cpu": 2})


def test_everything_is_predicted_by_what_drives_it() -> None:
    found = predictor().report()
    score = next(s for s in found["stages"] if s["stage"] == "score")
    assert score["driver"] == "pixels"
    assert score["cpu_seconds"]["value"] == pytest.approx(3 * 199)
    assert found["totals"]["clips"]["value"] == pytest.approx(398)
    assert found["totals"]["sample_bytes"]["value"] == pytest.approx(19_900)
    assert found["totals"]["clip_bytes"]["high"] == 0, "no stage writes files"
    assert found["totals"]["cpu_seconds"]["value"] == pytest.approx(3 * 199)
    assert found["totals"]["wall_seconds"]["value"] == pytest.approx(4 * 199 / 2)
    assert found["totals"]["npu_seconds"] is None


def test_seconds_differ_between_runs_and_rows_do_not() -> None:
    cpu = predictor().report()["totals"]["cpu_seconds"]
    assert cpu["low"] < cpu["value"] * 0.95 and cpu["high"] > cpu["value"] * 1.05


def test_each_process_starts_once() -> None:
    more = predictor(start=5.0).report()["totals"]["cpu_seconds"]["value"]
    assert more == pytest.approx(3 * 199 + 2 * 5)


def test_tokens_and_money_go_by_the_rows_that_are_asked_about() -> None:
    score = next(s for s in predictor().report()["stages"] if s["spending"])
    spent = {name: numbers["value"] for name, numbers in score["spending"].items()}
    assert spent["requests"] > 20 * 5, "of 100 videos 10 are sampled"
    assert spent["tokens_in"] == pytest.approx(50 * spent["requests"])
    assert spent["cost"] == pytest.approx(0.1 * spent["requests"])
