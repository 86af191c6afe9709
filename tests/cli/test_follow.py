"""Following a dataset: lines and bars, and how a run ends."""

from __future__ import annotations

import io
import os
import signal
from pathlib import Path

import pytest
import typer
from rich.console import Console as Terminal
from sqlalchemy import text

from curate.cli.shared import follow as module
from curate.cli.shared.database import OpenDataset, open_dataset
from curate.cli.shared.displays import Lines, bars, progress_line
from curate.cli.shared.follow import Stall, Watcher, follow, wait
from curate.cli.shared.local_run import stopped_by_signals
from curate.cli.shared.output import Console, aligned, counted, formatted, seconds_text
from curate.cli.shared.session import Session
from curate.cli.status import summary
from curate.db.datasets import cancel
from curate.db.reports.overview import DatasetView
from curate.db.reports.progress import StageProgress, Totals
from tests.cli.conftest import Call, Filled

TOTALS = Totals(videos=2, clips=8, kept=5, dropped=2, failed=1, active=0, finished_videos=2)
STAGES = [
    StageProgress("probe", "video", "cpu", 0, 0, 2, 0, 0, 1.0),
    StageProgress("motion", "clip", "cpu", 3, 1, 2, 1, 1, 2.0),
    StageProgress("cut", "clip", "cpu", 0, 0, 0, 0, 0),
]
VIEW = DatasetView(STAGES, TOTALS)


def test_a_line_names_stages_with_rows() -> None:
    assert progress_line(VIEW) == "probe 2/2 · motion 4/8 · 1 failed · 2s left"


def test_lines_come_every_30_seconds_and_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    times = iter([0.0, 10.0, 29.0, 31.0, 31.0, 32.0])
    lines = Lines(Console(), lambda: next(times))
    for _ in range(3):
        lines.show(VIEW)
    said = capsys.readouterr().err
    assert (said.count("\n"), "motion 4/8" in said) == (1, True)
    later = DatasetView(STAGES[:1], TOTALS)
    lines.show(later)
    lines._clock = lambda: 40.0
    lines.close()
    assert "probe 2/2" in capsys.readouterr().err


def test_bars_show_what_is_left() -> None:
    console = Terminal(file=io.StringIO(), width=100, record=True)
    console.print(bars(VIEW))
    motion = next(x for x in console.export_text().splitlines() if x.startswith("motion"))
    assert motion.split()[-6:] == ["4", "8", "1", "1", "2.0", "2s"]


def test_the_summary_sums_to_100() -> None:
    text_ = summary(TOTALS)
    assert "kept 62.5 % · dropped 25.0 % · failed 12.5 % · waiting 0.0 %" in text_


def opened(curate: Call, filled: Filled) -> OpenDataset:
    return open_dataset(Session(), "pets")


def test_follow_ticks_until_nothing_is_left(
    curate: Call,
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

    view = follow(opened(curate, filled), tick, Console(), "look there")
    assert len(ticks) >= 3
    assert (view.finished, view.totals.kept) == (True, 5)
    assert "cut 6/6" in capsys.readouterr().err  # the last view is left behind


def test_workers_are_kept_going_however_long_a_look_took(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_EVERY", 0.01)
    ticks: list[int] = []
    wait(0.1, lambda: ticks.append(1))
    assert len(ticks) > 1


def test_a_cancelled_dataset_is_followed_no_further(curate: Call, filled: Filled) -> None:
    cancel(filled.engine, filled.dataset)
    view = follow(opened(curate, filled), lambda: None, Console(), "look there")
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


def test_the_watcher_counts_what_is_there(curate: Call, filled: Filled) -> None:
    view = Watcher(opened(curate, filled)).look()
    assert (view.totals.active, view.finished) == (2, False)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_with_130_and_how_to_go_on(
    curate: Call, filled: Filled, signum: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    there = opened(curate, filled)
    before = signal.getsignal(signal.SIGTERM)
    ignored = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a background job of a shell ignores it
    with pytest.raises(typer.Exit) as ended, stopped_by_signals(Session(), there):
        os.kill(os.getpid(), signum)
        signal.pause()
    signal.signal(signal.SIGINT, ignored)
    assert ended.value.exit_code == 130
    assert "curate resume pets" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) == before


def finish(filled: Filled, *statements: str) -> None:
    with filled.engine.begin() as connection:
        for statement in (
            "UPDATE clips SET status = 'kept', stage = 'done' WHERE status = 'active'",
            *statements,
        ):
            connection.execute(text(statement))


def test_resume_of_a_finished_dataset_exports_and_tells_failures(
    curate: Call, filled: Filled, tmp_path: Path, home: Path
) -> None:
    finish(filled)
    result = curate("resume", "-o", str(tmp_path / "clips.csv"))
    assert result.code == 1
    assert "2 rows failed; see: curate errors pets" in result.err
    assert "5 clips written" in result.err
    assert "unique" in result.err  # the funnel
    assert len((tmp_path / "clips.csv").read_text().splitlines()) == 6
    assert not (home / "broker").exists()  # nothing had to be started


def test_resume_without_failures_gives_0(curate: Call, filled: Filled, tmp_path: Path) -> None:
    finish(
        filled,
        "DELETE FROM clips WHERE status = 'failed'",
        "DELETE FROM videos WHERE status = 'failed'",
    )
    result = curate("resume", "-o", str(tmp_path / "clips.csv"))
    assert (result.code, "Next:" in result.err) == (0, True)


def test_watch_ends_when_nothing_is_left(curate: Call, filled: Filled) -> None:
    finish(filled)
    assert "5" in curate("status", "--watch").out


@pytest.mark.parametrize(
    ("seconds", "text_"),
    [(None, ""), (0.4, "0s"), (59, "59s"), (200, "3m 20s"), (7500, "2h 5m"), (349_200, "4d 1h")],
)
def test_lengths_of_time(seconds: float | None, text_: str) -> None:
    assert seconds_text(seconds) == text_


def test_small_things_shown() -> None:
    assert [counted(1, "video"), counted(1280, "video")] == ["1 video", "1 280 videos"]
    assert counted(2, "process") == "2 processes"
    assert [formatted(None), formatted(0.123456), formatted("a\nb"), formatted(12)] == [
        "",
        "0.1235",
        "a\\nb",
        "12",
    ]
    assert (
        aligned(["a", "n"], [["x", "10"], ["long", "9"]], [False, True])
        == "a      n\nx     10\nlong   9\n"
    )
