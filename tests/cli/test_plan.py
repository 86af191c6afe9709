"""plan: a sample is run, and a run later stands beside what was predicted of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from curate.configs.errors import NeedMissing
from curate.worker.session.running import RunStopped
from tests.cli.conftest import Call
from tests.cli.shared.test_planned import PREDICTION
from tests.media import draw, draw_bad

CHEAP = ("--set", "cut.enabled=false")


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    folder.mkdir()
    for kind in ("closed", "b_frames", "long_gop"):
        draw(kind, folder)
    draw_bad("empty", folder)
    return folder


def test_what_is_planned_is_told_beside_the_truth(
    curate: Call, videos: Path, home: Path, tmp_path: Path
) -> None:
    done = curate("plan", str(videos), *CHEAP, "--sample", "3", "--seed", "1", "--json")
    assert done.code == 0, done.err
    assert "1 x EmptyFile" in done.err
    plan = done.json
    assert (plan["videos"], plan["sampled"]) == (4, 3)
    assert [s["stage"] for s in plan["stages"]] == ["probe", "split", "dedup", "motion"]
    assert plan["stages"][1]["cpu_seconds"]["value"] > 0
    assert plan["totals"]["sample_bytes"]["value"] > 0
    assert not (home / "clips").exists() and not (home / "samples").exists()
    assert curate("sql", "SELECT count(*) FROM datasets").out.split()[-1] == "0"
    assert curate("run", str(videos), *CHEAP, "-o", str(tmp_path / "c.csv")).code == 1
    status = curate("status", "--json").json
    beside = status["plan"]
    assert all(stage["done"] == 1 for stage in beside["stages"])
    cpu = beside["stages"][1]["cpu_seconds"]
    assert cpu["spent"] > 0 and cpu["left"] == 0
    assert beside["totals"]["clips"]["spent"] == status["totals"]["clips"]
    assert "was " in curate("status").out


def test_a_sample_of_all_is_the_run_itself_and_one_that_is_stopped_leaves_nothing(
    curate: Call, videos: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise RunStopped

    monkeypatch.setattr("curate.cli.plan.predict", stopped)
    done = curate("plan", str(videos), *CHEAP)
    assert done.code == 130
    assert "The sample is all of them" in done.err
    assert "Nothing is kept" in done.err
    assert not home.exists()


def test_the_next_command_runs_what_was_planned(
    curate: Call, videos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curate.cli.plan.predict", lambda *_: PREDICTION)
    done = curate("plan", str(videos), *CHEAP, "--name", "pets")
    assert done.code == 0, done.err
    words = f"run --set cut.enabled=false --name pets -o clips.csv -- {videos}"
    assert f"Next: curate {words}" in done.err


def test_a_stage_that_cannot_go_on_ends_the_plan_with_what_to_do(
    curate: Call, videos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def blocked(*_: object) -> None:
        raise NeedMissing(stage="openai", why="the server does not answer")

    monkeypatch.setattr("curate.worker.planning.trial.run_workers", blocked)
    done = curate("plan", str(videos), *CHEAP)
    assert done.code == 4
    assert "does not answer" in done.err and "--set openai.enabled=false" in done.err


def test_no_video_is_told_before_anything_is_made(curate: Call, tmp_path: Path, home: Path) -> None:
    (tmp_path / "none").mkdir()
    done = curate("plan", str(tmp_path / "none"))
    assert (done.code, "No video or image" in done.err, home.exists()) == (2, True, False)


def test_weights_that_are_missing_are_told_before_the_sample(
    curate: Call, videos: Path, home: Path
) -> None:
    done = curate("plan", str(videos), "-c", "t2v-v1.yaml")
    assert done.code == 4
    assert "curate models" in done.err or "pip install" in done.err, done.err
    assert not home.exists()
