"""Stages kept ready in a process: not too many, none of other options, each with what it has to recall."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from curate.worker import runner as module
from curate.worker.runner import Runner
from tests.pipelines import Line, Score, make_line

pytestmark = pytest.mark.usefixtures("catalog")


@pytest.fixture
def line(database_url: str, home: Path) -> Line:
    return make_line(database_url, home, ["score", "good: score >= 1"])


def test_stages_that_were_not_used_for_longest_are_let_go(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    from curate.db import datasets
    from tests.pipelines import Found

    loads: list[int] = []
    monkeypatch.setattr(Score, "load", lambda self: loads.append(1))
    monkeypatch.setattr(module, "MOST_LOADED", 2)
    runner = Runner(line.settings, line.engine)
    made = [datasets.create(line.engine, f"d{n}", "/w", line.pipeline) for n in range(3)]
    for number, dataset in enumerate([*made, made[2], made[0]]):
        datasets.enqueue(line.engine, dataset, [Found(f"/w/{number}_1.mp4")], line.pipeline)
        for stage in ("probe", "split", "score"):
            assert runner.run_one(stage)
        assert len(runner._loaded) <= 2
    assert sum(loads) == len(made) + 2, "the last two were let go by probe and split of the others"


def test_a_redo_with_other_options_loads_the_stage_anew_and_keeps_what_lies_between(
    database_url: str, home: Path
) -> None:
    from curate.db import datasets
    from curate.db.redo import redo
    from tests.pipelines import pipeline

    line = make_line(database_url, home, ["second", "score"])
    runner = Runner(line.settings, line.engine)
    line.enqueue("a3.mp4")
    for stage in ("probe", "split", "second", "score"):
        assert runner.run_one(stage)
    dataset = datasets.pick(line.engine, None)
    changed = pipeline({"stage": "second", "factor": 10}, "score")
    assert redo(line.engine, dataset, changed, "second", "other >= 1").back == 2
    assert runner.run_one("score") is None
    assert runner.run_one("second")
    assert runner.run_one("score") is None, "nothing between is computed again"
    assert line.rows("SELECT other, status FROM clips ORDER BY clip_index") == [
        (0.0, "kept"),
        (10.0, "kept"),
        (20.0, "kept"),
    ]
    assert len([k for k in runner._loaded if k[1] == "second"]) == 1


def test_an_ordered_stage_that_is_loaded_again_recalls_everything(database_url: str, home: Path) -> None:
    from curate.db import datasets

    line = make_line(database_url, home, [{"stage": "inorder", "batch_size": 2}])
    line.enqueue("a3.mp4")
    runner = Runner(line.settings, line.engine)
    for stage in ("probe", "split", "inorder"):
        assert runner.run_one(stage)
    with line.engine.begin() as connection:
        connection.execute(text("UPDATE datasets SET epoch = 5"))
    assert runner.run_one("inorder")
    assert line.rows("SELECT dedup_seq FROM clips ORDER BY clip_index") == [(1,), (2,), (3,)]
    assert datasets.pick(line.engine, None).epoch == 5
    assert [k for k in runner._loaded if k[1] == "inorder"] == [(line.dataset.id, "inorder")]
