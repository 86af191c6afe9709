"""Following a dataset: until when, and what is said on the way."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from curate.configs.errors import NeedMissing, ServiceError
from curate.db.datasets import cancel, pause
from curate.db.reports.overview import DatasetView
from curate.worker.session import follow as module
from curate.worker.session.console import Console
from curate.worker.session.database import open_dataset
from curate.worker.session.follow import Stall, Watcher, follow, wait
from curate.worker.session.home import HomeSession
from tests.cli.conftest import FULL, STAGES, TOTALS, Filled, put_batches


def watcher() -> Watcher:
    session = HomeSession()
    return Watcher(open_dataset(session, "pets"), session.settings)


def test_follow_ticks_until_nothing_is_left(
    filled: Filled,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "LOOK_EVERY", 0.01)
    ticks = []

    def tick() -> None:
        ticks.append(1)
        if len(ticks) == 3:
            with filled.engine.begin() as connection:
                connection.execute(
                    text("UPDATE clips SET status = 'kept', stage = 'done' WHERE status = 'active'")
                )

    view = follow(watcher(), tick, HomeSession(), "look there")
    assert len(ticks) >= 3
    assert (view.finished, view.totals.kept) == (True, 5)
    assert "cut 6/6" in capsys.readouterr().err  # the last view is left behind


def test_workers_are_kept_going_however_long_a_look_took(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_EVERY", 0.01)
    ticks: list[int] = []
    wait(0.1, lambda: ticks.append(1))
    assert len(ticks) > 1


def test_a_cancelled_dataset_is_followed_no_further(filled: Filled) -> None:
    cancel(filled.engine, filled.dataset)
    view = follow(watcher(), lambda: None, HomeSession(), "look there")
    assert (view.over, view.finished, view.state) == (True, False, "cancelled")


def test_a_line_that_stands_still_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STALL_AFTER", 0.0)
    still = DatasetView(STAGES[:1], TOTALS)
    stall = Stall(Console(), "look there")
    stall.look(still)
    assert capsys.readouterr().err == ""
    stall.look(still)
    assert "look there" in capsys.readouterr().err


def test_a_run_ends_when_a_stage_has_spent_its_budget(filled: Filled) -> None:
    pause(filled.engine, filled.dataset)
    put_batches(filled, "BudgetSpent")
    with pytest.raises(NeedMissing, match="cannot go on"):
        follow(watcher(), lambda: None, HomeSession(), "look there")


def test_the_watcher_counts_what_is_there(filled: Filled) -> None:
    view = watcher().look()
    assert (view.totals.active, view.finished) == (2, False)


@pytest.mark.parametrize(("reason", "ends"), [("DiskFull", False), ("ModelsMissing", True)])
def test_a_run_waits_for_room_but_not_for_weights(filled: Filled, reason: str, ends: bool) -> None:
    watching = watcher()
    watching._since -= 1
    put_batches(filled, reason)
    if ends:
        with pytest.raises(ServiceError, match="no space left"):
            watching.look()
    else:
        assert [h.message for h in watching.look().blocked] == [FULL]


def test_a_run_warns_once(filled: Filled, capsys: pytest.CaptureFixture[str]) -> None:
    put_batches(filled, "DiskFull")
    looks = []

    def tick() -> None:
        looks.append(1)
        if len(looks) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        follow(watcher(), tick, HomeSession(), "")
    assert capsys.readouterr().err.count(FULL) == 1
