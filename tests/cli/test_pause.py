"""pause: batches at work are saved, and nothing more is claimed."""

from __future__ import annotations

import json
from pathlib import Path

from curate.db.datasets import cancel, pause, pick, resume
from curate.db.save import batch as saves
from curate.db.save.batch import Outcomes
from tests.cli.conftest import Call
from tests.pipelines import Line, writer


def test_what_a_paused_dataset_is_at_is_saved(line: Line) -> None:
    held = line.claim("score")
    assert held is not None
    pause(line.engine, line.dataset)
    assert pick(line.engine, None).state == "paused"
    found = Outcomes({i: {"score": 1.0} for i in held.ids})
    assert saves.save(line.engine, held, found, writer()).rows == 2


def test_a_worker_that_was_loading_a_model_claims_nothing_of_a_dataset_held_meanwhile(
    line: Line,
) -> None:
    for hold in (pause, cancel):
        hold(line.engine, line.dataset)
        assert line.claim("score") is None
        resume(line.engine, line.dataset)
    assert line.claim("score") is not None


def test_the_commands_say_what_they_did_and_how_to_go_on(curate: Call, tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    (videos / "a.mp4").write_bytes(b"")
    assert curate("enqueue", str(videos), "--name", "mine").code == 0
    paused = curate("pause", "mine")
    assert (paused.code, "paused" in paused.out, "curate resume mine" in paused.err) == (
        0,
        True,
        True,
    )
    assert json.loads(curate("status", "mine", "--json").out)["state"] == "paused"
    assert "is paused" in curate("enqueue", str(videos), "--name", "mine").err
    cancelled = curate("cancel", "mine", "--json")
    assert json.loads(cancelled.out) == {
        "dataset": "mine",
        "state": "cancelled",
        "rows_taken_back": 0,
    }
    assert "cancelled" in curate("status", "mine").out
