"""A full disk or a database that is away: no row is to blame, nothing is lost, and work goes on by
itself.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from curate.configs.errors import DiskFull, ServiceError
from curate.db.datasets import retry
from curate.tasks.stage import Clip
from curate.worker import batch as module
from curate.worker import runner as chooser
from curate.worker.runner import Runner
from tests.pipelines import Line, Score, make_line
from tests.servers import Postgres
from tests.worker.conftest import run_all

pytestmark = pytest.mark.usefixtures("catalog")

POSITION = "SELECT DISTINCT stage, status, reason, owner, lease_until, attempts FROM clips"


@pytest.fixture
def line(database_url: str, home: Path) -> Line:
    line = make_line(database_url, home, ["score"])
    line.enqueue("a3.mp4")
    run_all(line, "probe", "split")
    return line


def once(raised: Exception) -> Callable[[Clip], None]:
    """A hook that raises for the second clip, the first time."""
    left = [raised]

    def hook(clip: Clip) -> None:
        if clip.index == 1 and left:
            raise left.pop()

    return hook


def no_rest(runner: Runner) -> None:
    """The stages of the runner have rested."""
    runner._pauses = {name: (0.0, pause) for name, (_, pause) in runner._pauses.items()}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_gives_the_batch_back_and_goes_on_when_there_is_room(
    line: Line, number: int
) -> None:
    Score.hook = staticmethod(once(OSError(number, "no room")))
    runner = Runner(line.settings, line.engine)
    with pytest.raises(DiskFull, match="Make room"):
        runner.run_one("score")
    assert line.rows(POSITION) == [("score", "active", None, None, 0.0, 0)]
    (logged,) = line.rows("SELECT reason, error, n_ok, n_failed FROM batches WHERE stage = 'score'")
    assert (logged[0], logged[2:]) == ("DiskFull", (0, 0))
    assert str(line.settings.folder) in logged[1]
    assert runner.run_one("score") is None, "it rests"
    no_rest(runner)
    assert runner.run_one("score") is not None
    assert line.rows("SELECT DISTINCT stage, status FROM clips") == [("done", "kept")]


def test_rows_that_failed_for_a_full_disk_before_are_tried_again(line: Line) -> None:
    with line.engine.begin() as connection:
        connection.execute(
            text("UPDATE clips SET status = 'failed', reason = 'DiskFull', error = 'x'")
        )
    assert retry(line.engine, line.dataset, line.pipeline, reason="DiskFull") == 3
    run_all(line, "score")
    assert line.rows("SELECT DISTINCT status, error FROM clips") == [("kept", None)]


def test_a_claim_whose_answer_was_lost_holds_nothing(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = module.claim

    def cut_off(*given: Any) -> None:
        real(*given)
        raise ServiceError(what="The database", why="the connection was lost")

    monkeypatch.setattr(module, "claim", cut_off)
    with pytest.raises(ServiceError):
        Runner(line.settings, line.engine).run_one("score")
    assert line.rows(POSITION) == [("score", "active", None, None, 0.0, 0)]


def test_rows_are_given_back_when_the_database_answers_again(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, away = module.release_rows, [1]

    def release(*given: Any) -> None:
        if away:
            away.pop()
            raise ServiceError(what="The database", why="it restarts")
        real(*given)

    monkeypatch.setattr(module, "release_rows", release)
    Score.hook = staticmethod(once(OSError(errno.ENOSPC, "no room")))
    runner = Runner(line.settings, line.engine)
    with pytest.raises(DiskFull):
        runner.run_one("score")
    assert line.rows("SELECT count(*) FROM clips WHERE owner IS NOT NULL") == [(3,)]
    no_rest(runner)
    assert runner.run_one("score") is not None
    assert line.rows("SELECT DISTINCT status, attempts FROM clips") == [("kept", 0)]


def test_a_database_that_does_not_answer_makes_the_stage_rest(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def away(*_: Any) -> Any:
        asked.append(1)
        raise ServiceError(what="The database", why="it restarts")

    monkeypatch.setattr(chooser, "readable_datasets", away)
    runner = Runner(line.settings, line.engine)
    with pytest.raises(ServiceError):
        runner.run_one("score")
    assert runner.run_one("score") is None
    assert len(asked) == 1, "no loop of errors"


def test_postgres_cuts_all_connections_in_the_middle_of_a_batch(
    postgres: Postgres, postgres_url: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = make_line(postgres_url, home, ["score"])
    line.enqueue("a3.mp4")
    run_all(line, "probe", "split")
    name = postgres_url.rpartition("/")[2].partition("?")[0]

    def cut(clip: Clip) -> None:
        postgres.execute(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        )

    Score.hook = staticmethod(cut)
    monkeypatch.setattr(module, "SAVE_WAITS", (0.0,))
    assert len(run_all(line, "score")) == 1
    assert line.rows("SELECT DISTINCT status, attempts FROM clips") == [("kept", 0)]
    assert line.rows("SELECT n_ok, n_failed FROM batches WHERE stage = 'score'") == [(3, 0)]


def test_a_batch_saved_between_recall_and_claim_is_known(
    database_url: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = make_line(database_url, home, [{"stage": "inorder", "batch_size": 2}])
    line.enqueue("a4.mp4")
    run_all(line, "probe", "split")
    other, real = Runner(line.settings, line.engine), module.claim

    def later(*given: Any) -> Any:
        monkeypatch.setattr(module, "claim", real)
        assert other.run_one("inorder")
        return real(*given)

    monkeypatch.setattr(module, "claim", later)
    assert Runner(line.settings, line.engine).run_one("inorder")
    assert line.rows("SELECT dedup_seq FROM clips ORDER BY clip_index") == [(1,), (2,), (3,), (4,)]


def test_a_batch_in_order_is_not_saved_when_clips_it_knew_were_deleted(
    database_url: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = make_line(database_url, home, ["inorder"])
    line.enqueue("a2.mp4")
    run_all(line, "probe", "split")
    runner, real = Runner(line.settings, line.engine), module.stage_rows

    def rows(*given: Any) -> Any:
        with line.engine.begin() as connection:
            connection.execute(text("UPDATE datasets SET epoch = epoch + 1"))
        return real(*given)

    monkeypatch.setattr(module, "stage_rows", rows)
    assert runner.run_one("inorder")
    assert line.rows("SELECT DISTINCT stage, owner, dedup_seq FROM clips") == [
        ("inorder", None, None)
    ]
