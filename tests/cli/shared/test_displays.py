"""Bars show how far a dataset is."""

from __future__ import annotations

import io

import pytest
from rich.console import Console as Terminal

from curate.cli.shared.displays import bars, drawing
from curate.db.reports.at_work import BatchAtWork
from curate.db.reports.overview import DatasetView
from curate.db.reports.progress import StageProgress
from curate.worker.session.display import progress_line
from tests.cli.conftest import STAGES, TOTALS

VIEW = DatasetView(STAGES, TOTALS)
SPLIT = StageProgress("split", "video", "cpu", 0, 1, 0, 0, 0, None, 300.0)
LONG = BatchAtWork("o", 1, "split", 1, 90.0, "deep/a long name.mp4", 4500, 19500, 780.0, 90.0)
MODEL = BatchAtWork("o", 1, "aesthetic", 32, 12.0)
BUSY = DatasetView([SPLIT], TOTALS, at_work=[LONG, MODEL])


def test_bars_show_what_is_left() -> None:
    console = Terminal(file=io.StringIO(), width=100, record=True)
    console.print(bars(VIEW))
    motion = next(x for x in console.export_text().splitlines() if x.startswith("motion"))
    assert motion.split()[-6:] == ["4", "8", "1", "1", "2.0", "2s"]


@pytest.mark.parametrize("width", [50, 80, 120])
def test_a_terminal_of_any_width_shows_all_that_matters(width: int) -> None:
    console = Terminal(file=io.StringIO(), width=width, record=True)
    console.print(drawing(BUSY, width, 95.0))
    lines = console.export_text().splitlines()
    assert all(len(line) <= width for line in lines)
    (long,) = [line for line in lines if "4 500" in line]
    frames = "4 500 of 19 500" if width > 50 else "4 500/19 500"
    assert " ".join(long.split()).endswith(f"{frames} 2.0x 1m 30s 5m 0s")
    assert long.startswith("a long")
    assert lines[-1].strip() == "1m 35s elapsed · 5m 0s left"


def test_a_file_name_commands_no_terminal() -> None:
    odd = BatchAtWork("o", 1, "split", 1, 90.0, "a\x1b[31m[red]x.mp4")
    console = Terminal(file=io.StringIO(), width=80, record=True)
    console.print(drawing(DatasetView([SPLIT], TOTALS, at_work=[odd]), 80, 95.0))
    said = console.export_text()
    assert "\\x1b[31m[red]x.mp4" in said
    assert "\x1b" not in said and "\x1b" not in progress_line(
        DatasetView([SPLIT], TOTALS, at_work=[odd])
    )


def test_many_batches_are_counted_not_listed() -> None:
    console = Terminal(file=io.StringIO(), width=80, record=True)
    console.print(drawing(DatasetView([SPLIT], TOTALS, at_work=[LONG] * 20), 80, 95.0))
    assert "and 12 more" in console.export_text()
