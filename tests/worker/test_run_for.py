"""A turn: batches of one stage and dataset until its time is over, for one message."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from curate.configs.errors import PackageMissing
from curate.tasks.stage import Clip
from curate.worker import batch
from curate.worker import runner as module
from curate.worker.runner import Runner
from tests.pipelines import Line, Score, make_line

pytestmark = pytest.mark.usefixtures("catalog")


@pytest.fixture
def line(database_url: str, home: Path) -> Line:
    line = make_line(database_url, home, [{"stage": "score", "batch_size": 2}, "second"])
    line.put_clips(5, "score")
    return line


@pytest.fixture(autouse=True)
def long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MESSAGE_SECONDS", 60.0)


def test_a_turn_runs_all_batches_of_its_stage_and_no_other(line: Line) -> None:
    report = Runner(line.settings, line.engine).run_for("score")
    assert str(report).startswith("5 clips in 3 batches: 5 ok, 0 failed, ")
    assert line.rows("SELECT stage, n_ok FROM batches ORDER BY id") == [
        ("score", 2),
        ("score", 2),
        ("score", 1),
    ]
    assert line.rows("SELECT DISTINCT stage FROM clips") == [("second",)]


@pytest.mark.parametrize(("slow", "batches"), [(0.0, [3, 2, 2, 1, 1, 1, 1]), (60.0, [3, 8])])
def test_batches_that_take_long_are_divided_among_processes(
    slow: float, batches: list[int], database_url: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one of a process may: nobody knows yet how long it takes."""
    monkeypatch.setattr(Score, "stops_at_once", True)
    monkeypatch.setattr(batch, "SLOW_SECONDS", slow)
    line = make_line(database_url, home, [{"stage": "score", "batch_size": 8}])
    line.put_clips(11, "score")
    Runner(line.settings, line.engine, processes=3).run_for("score")
    found = [ok for (ok,) in line.rows("SELECT n_ok FROM batches ORDER BY id")]
    assert found == batches


def test_a_turn_that_is_over_runs_one_batch(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MESSAGE_SECONDS", 0.0)
    assert str(Runner(line.settings, line.engine).run_for("score")).startswith("2 clips: 2 ok")


def test_nothing_to_do_is_none(line: Line) -> None:
    assert Runner(line.settings, line.engine).run_for("third") is None


def test_a_paused_dataset_ends_the_turn(line: Line) -> None:
    def pause(clip: Clip) -> None:
        with line.engine.begin() as connection:
            connection.execute(text("UPDATE datasets SET state = 'paused'"))

    Score.hook = staticmethod(pause)
    report = Runner(line.settings, line.engine).run_for("score")
    assert report is not None and report.batches == 1


def test_rows_lost_to_a_changed_pipeline_end_the_turn(line: Line) -> None:
    """It would run the stage with its old options again and again."""
    frozen = line.rows("SELECT pipeline FROM datasets")[0][0]
    other = frozen.replace('"factor": 1', '"factor": 2')
    assert other != frozen
    line.put_clips(4, "second", "/v/y.mp4")

    def change(clip: Clip) -> None:
        with line.engine.begin() as connection:
            connection.execute(text("UPDATE datasets SET pipeline = :p"), {"p": other})

    runner = Runner(line.settings, line.engine)
    Score.hook = staticmethod(change)
    assert (
        runner.run_one("score") is not None
    )  # of now on the stage second has other options than this runner knows
    assert line.rows("SELECT pipeline FROM datasets") == [(other,)]
    report = runner._try(line.dataset.id, "second", requested=True)
    assert report is not None
    again = len(line.rows("SELECT id FROM clips WHERE stage = 'second'"))
    assert (report.saved.released, report.saved.lost, report.saved.ok) == (again, 0, 0)
    assert f": 0 ok, 0 failed, 0 dropped, {again} released to be done again, " in str(report)
    assert line.rows("SELECT count(other) FROM clips") == [(0,)]


def test_a_missing_service_in_a_later_batch_ends_the_turn_and_the_stage_rests(line: Line) -> None:
    seen: list[int] = []

    def gone(clip: Clip) -> Any:
        seen.append(clip.id)
        if len(seen) > 2:
            raise PackageMissing(what="x", package="y", install="z")

    Score.hook = staticmethod(gone)
    runner = Runner(line.settings, line.engine)
    report = runner.run_for("score")
    assert report is not None and report.batches == 1, (
        "messages about what follows the first batch are sent"
    )
    assert line.rows("SELECT count(*) FROM batches WHERE reason = 'PackageMissing'") == [(1,)]
    assert line.rows("SELECT stage, count(*) FROM clips GROUP BY stage ORDER BY stage") == [
        ("score", 3),
        ("second", 2),
    ]
    other = runner.run_for("score")
    assert other is not None and other.step.name == "second", (
        "it is paused, and its message serves another stage"
    )


def test_one_thread_watches_all_batches(line: Line) -> None:
    seen: set[int] = set()

    def note(clip: Clip) -> None:
        seen.update(t.ident or 0 for t in threading.enumerate() if t.name == "lease-keeper")

    before = {t.ident for t in threading.enumerate() if t.name == "lease-keeper"}
    Score.hook = staticmethod(note)
    Runner(line.settings, line.engine).run_for("score")
    assert len(seen - before) == 1
