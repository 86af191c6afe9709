"""Lines show how far a dataset is."""

from __future__ import annotations

import pytest

from curate.db.reports.overview import DatasetView
from curate.db.reports.progress import StageProgress
from curate.worker.session.console import Console
from curate.worker.session.display import Lines, progress_line
from tests.cli.conftest import STAGES, TOTALS
from tests.cli.shared.test_displays import BUSY, SPLIT, VIEW


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


def test_a_line_tells_how_far_a_long_video_is_and_the_time_left() -> None:
    assert progress_line(BUSY) == (
        "split 0/1 · 1 failed · 5m 0s left · at work: split deep/a long name.mp4: "
        "4 500 of 19 500 frames, 2.0x, for 1m 30s, 5m 0s left; aesthetic 32 rows: for 12s"
    )


def test_the_time_left_is_a_bound_when_later_stages_are_not_known() -> None:
    later = StageProgress("cut", "clip", "cpu", 3, 0, 0, 0, 0)
    assert "over 5m 0s left" in progress_line(DatasetView([SPLIT, later], TOTALS))


def test_lines_tell_the_time_that_passed(capsys: pytest.CaptureFixture[str]) -> None:
    times = iter([0.0, 90.0, 90.0, 90.0])
    Lines(Console(), lambda: next(times)).show(VIEW)
    assert " after 1m 30s: probe 2/2" in capsys.readouterr().err
