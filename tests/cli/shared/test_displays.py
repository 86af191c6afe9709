"""Bars and lines show how far a dataset is."""

from __future__ import annotations

import io

import pytest
from rich.console import Console as Terminal

from curate.cli.shared.displays import Lines, bars, progress_line
from curate.cli.shared.output import Console
from curate.db.reports.overview import DatasetView
from tests.cli.conftest import STAGES, TOTALS

VIEW = DatasetView(STAGES, TOTALS)


def test_a_line_names_stages_with_rows() -> None:
    assert progress_line(VIEW) == "probe 2/2 · motion 4/8 · 1 failed · 2s left"


def test_lines_come_every_30_seconds_and_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    times = iter([0.0, 10.0, 29.0, 31.0, 31.0, 31.0, 32.0])
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
