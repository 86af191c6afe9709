"""What is said of a prediction."""

from __future__ import annotations

from pathlib import Path

import pytest

from curate.cli.shared.planned import cpu_text, interval_text, plan_json, plan_lines, print_plan
from curate.cli.shared.session import Session
from curate.db.plans import store_plan
from curate.worker.session.database import open_dataset
from curate.worker.session.follow import Watcher
from tests.cli.conftest import Filled

HOUR = {"value": 3600.0, "low": 1800.0, "high": 7200.0}
CLIPS = {"value": 7.0, "low": 6.0, "high": 9.0}
SPENDING = dict.fromkeys(("requests", "tokens_in", "tokens_out", "cost"), CLIPS)
STAGE = {"queue": "cpu", "driver": "videos", "cpu_seconds": HOUR, "busy_seconds": HOUR}
PREDICTION = {
    "videos": 3, "sampled": 2, "seed": 0, "processes": {"cpu": 2}, "failed": {},
    "drivers": dict.fromkeys(("videos", "bytes", "seconds", "frames", "pixels"), 3.0),
    "stages": [
        {"stage": name, "level": "video", **STAGE, "npu_seconds": None, "spending": None}
        for name in ("probe", "split", "dedup", "motion", "cut")
    ],
    "totals": {
        "cpu_seconds": HOUR, "npu_seconds": None, "wall_seconds": HOUR, "clips": CLIPS,
        "kept": CLIPS, "clip_bytes": CLIPS, "sample_bytes": CLIPS,
    },
}  # fmt: skip


def test_a_plan_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    asks = PREDICTION["stages"][-1] | {"spending": SPENDING}  # type: ignore[index]
    print_plan(PREDICTION | {"stages": [*PREDICTION["stages"][:-1], asks]})  # type: ignore[index]
    out = capsys.readouterr().out
    assert "3 videos, 2 sampled (seed 0)" in out
    assert "clips 7 (6 to 9)" in out
    assert "answers 7 (6 to 9), tokens read 7 (6 to 9)" in out and "cost 7 (6 to 9)" in out
    assert "1h 0m (30m 0s to 2h 0m) of time" in out
    assert "NPU" not in out


def test_a_plan_without_a_bound_says_so() -> None:
    assert "no interval" in interval_text({"value": 1.0, "low": 0.0, "high": None}, str)
    assert interval_text({"value": 2.0, "low": 2.0, "high": 2.0}, str) == "2.0", "it is certain"
    assert interval_text({"value": 0.2, "low": 0.1, "high": 0.4}, lambda n: f"{n:.0f}") == "0"


@pytest.mark.parametrize(
    ("seconds", "text"), [(1.5, "1.5 s"), (90.0, "1.5 min"), (7200.0, "2.0 h"), (3.6e7, "10 000 h")]
)
def test_cpu_time_is_told_in_what_people_read(seconds: float, text: str) -> None:
    assert cpu_text(seconds) == text


def test_status_tells_a_prediction_beside_what_is_done(filled: Filled, tmp_path: Path) -> None:
    opened = open_dataset(Session(), "pets")
    view = Watcher(opened, Session().settings).look()
    assert plan_json(opened, view, tmp_path) is None
    store_plan(opened.engine, opened.dataset.root, opened.pipeline, PREDICTION)
    found = plan_json(opened, view, tmp_path)
    assert found
    assert found["totals"]["clips"]["spent"] == 7
    assert [s["done"] for s in found["stages"]][:2] == [1, 1], "no video waits"
    lines = "\n".join(plan_lines(found, 4, over=False))
    assert "plan: clips 7 (6 to 9), now 7; 7 so far" in lines
    assert "made for 3 videos, and the dataset has 4" in lines
    assert "7 (6 to 9), was 7: within the interval" in "\n".join(plan_lines(found, 3, over=True))
