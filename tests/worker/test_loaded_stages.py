"""Stages kept ready in a process: not too many, none of other options, each with what it has to
recall.
"""

from __future__ import annotations

import errno
import threading
from pathlib import Path

import pytest
from sqlalchemy import text

from curate.configs.errors import DiskFull, ServiceError
from curate.worker import batch, loaded_stages
from curate.worker.runner import Runner
from tests.pipelines import InOrder, Line, Score, make_line, wait_until
from tests.worker.conftest import run_all

pytestmark = pytest.mark.usefixtures("catalog")


@pytest.fixture
def line(database_url: str, home: Path) -> Line:
    return make_line(database_url, home, ["score", "good: score >= 1"])


def test_stages_that_were_not_used_for_longest_are_let_go(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    from curate.db import datasets
    from tests.pipelines import Found

    loads: list[int] = []
    monkeypatch.setattr(Score, "load", lambda self: loads.append(1))
    monkeypatch.setattr(loaded_stages, "MOST_LOADED", 2)
    runner = Runner(line.settings, line.engine)
    made = [datasets.create(line.engine, f"d{n}", "/w", line.pipeline) for n in range(3)]
    for number, dataset in enumerate([*made, made[2], made[0]]):
        datasets.enqueue(line.engine, dataset, [Found(f"/w/{number}_1.mp4")], line.pipeline)
        for stage in ("probe", "split", "score"):
            assert runner.run_one(stage)
        assert len(list(runner.batches.stages.loaded)) <= 2
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
    assert len([k for k in runner.batches.stages.loaded if k[1] == "second"]) == 1


def test_an_ordered_stage_that_is_loaded_again_recalls_everything(
    database_url: str, home: Path
) -> None:
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
    inorder = [k for k in runner.batches.stages.loaded if k[1] == "inorder"]
    assert inorder == [(line.dataset.id, "inorder")]


def test_what_another_process_took_just_before_the_claim_is_known(
    database_url: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = make_line(database_url, home, [{"stage": "inorder", "batch_size": 2}])
    line.enqueue("a4.mp4")
    mine, other = Runner(line.settings, line.engine), Runner(line.settings, line.engine)
    for stage in ("probe", "split"):
        assert mine.run_one(stage)
    real = batch.claim

    def late(*given: object) -> object:
        monkeypatch.setattr(batch, "claim", real)
        assert other.run_one("inorder")
        return real(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(batch, "claim", late)
    assert mine.run_one("inorder")
    assert line.rows("SELECT dedup_seq FROM clips ORDER BY clip_index") == [(1,), (2,), (3,), (4,)]


def test_whatever_runs_meanwhile_every_clip_ends_with_the_last_options(
    database_url: str, home: Path
) -> None:
    from curate.db import datasets
    from curate.db.redo import redo
    from tests.pipelines import pipeline

    def steps(factor: int) -> list[dict[str, object]]:
        batch = {"batch_size": 3}
        return [
            {"stage": "second", "factor": factor} | batch,
            {"stage": "score"} | batch,
            {"stage": "third"} | batch,
        ]

    line = make_line(database_url, home, steps(1))
    line.enqueue(*[f"{name}9.mp4" for name in "abcd"])
    stop = threading.Event()

    def work() -> None:
        runner = Runner(line.settings, line.engine)
        while not stop.is_set():
            for stage in ("probe", "split", "second", "score", "third"):
                runner.run_one(stage)

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for factor in range(2, 8):
        wait_until(lambda: line.rows("SELECT count(*) FROM clips WHERE stage <> 'second'") > [(4,)])
        redo(line.engine, datasets.pick(line.engine, None), pipeline(*steps(factor)), "second")
        if factor % 2:
            redo(line.engine, datasets.pick(line.engine, None), pipeline(*steps(factor)), "score")
    unfinished = "SELECT count(*) FROM clips WHERE status <> 'kept'"
    try:
        wait_until(
            lambda: (
                line.rows("SELECT count(*) FROM clips") == [(36,)]
                and line.rows(unfinished) == [(0,)]
            )
        )
    finally:
        stop.set()
        for worker in workers:
            worker.join()
    assert line.rows("SELECT DISTINCT stage, return_to, owner FROM clips") == [("done", None, None)]
    assert line.rows("SELECT count(*) FROM clips WHERE other <> clip_index * 7") == [(0,)]


def test_an_ordered_stage_learns_what_others_took(database_url: str, home: Path) -> None:
    line = make_line(database_url, home, [{"stage": "inorder", "batch_size": 2}])
    line.enqueue("a3.mp4", "b4.mp4")
    one, two = Runner(line.settings, line.engine), Runner(line.settings, line.engine)
    run_all(line, "probe", "split")
    while one.run_one("inorder") and two.run_one("inorder"):
        pass
    assert line.rows("SELECT dedup_seq FROM clips ORDER BY video_id, clip_index") == [
        (n,) for n in range(1, 8)
    ]


def test_a_stage_that_recalled_half_of_the_rows_is_loaded_anew(
    sqlite_url: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = make_line(sqlite_url, home, [{"stage": "inorder", "batch_size": 2}])
    line.enqueue("a4.mp4")
    runner = Runner(line.settings, line.engine)
    run_all(line, "probe", "split")
    assert runner.run_one("inorder")

    def full(self: InOrder, rows: object) -> None:
        self.seen += 1
        raise OSError(errno.ENOSPC, "no room")

    with monkeypatch.context() as patch, pytest.raises(DiskFull):
        patch.setattr(InOrder, "recall", full)
        runner.run_one("inorder")
    runner._pauses.clear()
    assert runner.run_one("inorder")
    assert line.rows("SELECT dedup_seq FROM clips ORDER BY clip_index") == [(1,), (2,), (3,), (4,)]


def test_a_stage_that_cannot_be_loaded_blames_no_row_and_says_why(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Score) -> None:
        raise OSError("no weights here")

    monkeypatch.setattr(Score, "load", broken)
    line.enqueue("a2.mp4")
    run_all(line, "probe", "split")
    runner = Runner(line.settings, line.engine)
    with pytest.raises(ServiceError, match="no weights here"):
        runner.run_one("score")
    assert runner.run_one("score") is None, "it rests before it tries again"
    assert line.rows("SELECT DISTINCT status, owner FROM clips") == [("active", None)]
    (error,) = line.rows("SELECT error FROM batches WHERE error IS NOT NULL")[0]
    assert "no weights here" in str(error)


def test_a_column_that_a_stage_got_since_the_dataset_was_enqueued_is_added(line: Line) -> None:
    line.enqueue("a3.mp4")
    with line.engine.begin() as connection:
        connection.execute(text("DROP VIEW clips_view"))
        connection.execute(text("ALTER TABLE clips DROP COLUMN score"))
    run_all(line, "probe", "split", "score")
    with line.engine.connect() as connection:
        scores = connection.execute(text("SELECT score FROM clips")).scalars().all()
    assert len(scores) == 3 and None not in scores
