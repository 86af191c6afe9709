"""pause, cancel and resume."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from curate.db.datasets import all_datasets, cancel, pause, pick, resume
from curate.db.save import batch as saves
from curate.db.save.batch import Outcomes
from tests.cli.conftest import Call
from tests.pipelines import Line, make_line, writer


@pytest.fixture
def line(database_url: str, home: Path) -> Line:
    line = make_line(database_url, home, [{"stage": "score", "batch_size": 2}])
    line.put_clips(4, "score")
    return line


def test_what_a_paused_dataset_is_at_is_saved(line: Line) -> None:
    held = line.claim("score")
    assert held is not None
    pause(line.engine, line.dataset)
    assert pick(line.engine, None).state == "paused"
    assert (
        saves.save(line.engine, held, Outcomes({i: {"score": 1.0} for i in held.ids}), writer())
        == 2
    )


def test_what_a_cancelled_dataset_is_at_is_not_saved_and_waits_again(line: Line) -> None:
    held = line.claim("score")
    assert held is not None
    assert cancel(line.engine, line.dataset) == 2
    assert (
        saves.save(line.engine, held, Outcomes({i: {"score": 1.0} for i in held.ids}), writer())
        == 0
    )
    assert line.rows(
        "SELECT count(*) FROM clips WHERE stage = 'score' AND owner IS NULL AND score IS NULL"
    ) == [(4,)]
    resume(line.engine, line.dataset)
    assert all_datasets(line.engine)[-1].state == "running"


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


def test_cancel_asks_for_a_name(curate: Call) -> None:
    assert curate("cancel").code == 2
