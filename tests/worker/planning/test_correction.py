"""A prediction corrected by what a dataset has taken so far."""

from __future__ import annotations

import pytest

from curate.db.reports.costs import Passed, StageCost
from curate.db.reports.progress import StageProgress
from curate.worker.planning.correction import Progress, correct, correct_all, progress_of

PREDICTED = {"value": 100.0, "low": 80.0, "high": 125.0}
PREDICTION = {
    "videos": 10, "sampled": 5,
    "drivers": {"videos": 10.0, "bytes": 1.0, "seconds": 200.0, "frames": 1.0, "pixels": 1.0},
    "processes": {"cpu": 2},
    "stages": [
        {"stage": "split", "queue": "cpu", "driver": "seconds", "cpu_seconds": PREDICTED,
         "busy_seconds": PREDICTED},
        {"stage": "score", "queue": "cpu", "driver": "videos", "cpu_seconds": PREDICTED,
         "busy_seconds": PREDICTED},
    ],
    "totals": {"cpu_seconds": {"value": 200.0, "low": 150.0, "high": 260.0},
               "clips": PREDICTED, "kept": PREDICTED},
}  # fmt: skip


def stage(name: str, level: str, waiting: int, done: int) -> StageProgress:
    return StageProgress(name, level, "cpu", waiting, 0, done, 0, 0)  # type: ignore[arg-type]


def test_before_anything_is_done_the_prediction_stands() -> None:
    found = correct(PREDICTED, 0.0, Progress(0.0, 0.0), sampled=10)
    assert (found.value, found.low, found.high, found.left) == (100, 80, 125, 100)


def test_what_was_seen_weighs_as_many_videos_as_it_is() -> None:
    """Half took twice what was predicted: 10 sampled say 1, 10 that are through say 2."""
    found = correct(PREDICTED, 100.0, Progress(0.5, 10.0), sampled=10)
    assert found.value == pytest.approx(100 + 50 * 1.5)
    assert not found.within


def test_at_the_end_it_is_the_truth() -> None:
    found = correct(PREDICTED | {"high": None}, 110.0, Progress(1.0, 20.0), sampled=10)
    assert (found.value, found.low, found.high, found.left) == (110, 110, 110, 0)
    assert found.within


def test_stages_of_clips_are_as_far_as_the_videos_and_clips_before_them() -> None:
    passed = {"split": Passed(videos=3, seconds=100.0)}
    stages = [stage("split", "video", 7, 3), stage("score", "clip", 10, 30)]
    found = progress_of(PREDICTION, passed, stages)
    assert found["split"] == Progress(0.5, 3)
    assert found["score"].share == pytest.approx(0.5 * 0.75)
    ended = [stage("split", "video", 0, 10), stage("score", "clip", 0, 40)]
    found = progress_of(PREDICTION, {"split": Passed(videos=10, seconds=180.0)}, ended)
    assert found["split"].share == found["score"].share == 1, "whatever headers said of seconds"


def test_all_of_it_beside_the_truth() -> None:
    done = {"split": Progress(1.0, 10), "score": Progress(0.5, 5)}
    costs = {"split": StageCost(90.0, 95.0), "score": StageCost(50.0, 50.0)}
    found = correct_all(PREDICTION, done, costs, {"clips": 90, "kept": 40}, maker="split")
    split, score = (one["cpu_seconds"] for one in found["stages"])
    assert (split["left"], split["within"]) == (0, True)
    assert score["corrected"]["value"] == pytest.approx(100)
    assert found["totals"]["clips"]["corrected"]["value"] == 90
    assert found["totals"]["cpu_seconds"]["spent"] == 140
    assert found["eta_seconds"] == pytest.approx(25)
