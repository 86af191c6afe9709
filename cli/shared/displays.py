"""Shows how far a dataset is by bars on a terminal. Loads rich: import it only for a terminal."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Literal

from rich.console import Console as Terminal
from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from curate.configs.shown import counted, formatted, seconds_text
from curate.db.reports.at_work import BatchAtWork
from curate.db.reports.overview import DatasetView
from curate.worker.session.display import at_work_cells, time_left

MOST_IN_TABLE = 8  # batches at work
NUMBERS_WIDTH, NARROWEST_BAR, WIDE = 64, 6, 70  # columns


class LiveBars:
    """A live table on a terminal, one bar for each stage."""

    def __init__(self, to_stderr: bool = False) -> None:
        self._terminal = Terminal(stderr=to_stderr)
        self._live = Live(console=self._terminal, auto_refresh=False)
        self._live.start()
        self._began = time.monotonic()

    def show(self, view: DatasetView) -> None:
        """Draw the view in place of the last one."""
        drawn = drawing(view, self._terminal.width, time.monotonic() - self._began)
        self._live.update(drawn, refresh=True)

    def close(self) -> None:
        """Leave the last view on the screen."""
        self._live.stop()


def drawing(view: DatasetView, width: int, elapsed: float) -> RenderableType:
    """All that a terminal so many columns wide shows of a dataset."""
    left = time_left(view)
    last = f"{seconds_text(elapsed)} elapsed{f' · {left}' if left else ''}"
    at_work = [batches_table(view.at_work, width)] if view.at_work else []
    return Group(bars(view, width), *at_work, Text(last, style="dim"))


def bars(view: DatasetView, width: int = 100) -> Table:
    """A bar for each stage, with the rows dropped and failed, the rate and the time left."""
    bar_width = min(24, width - NUMBERS_WIDTH)
    has_bars = bar_width >= NARROWEST_BAR
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("stage", no_wrap=True)
    if has_bars:
        table.add_column("")
    for name in ("done", "of", "dropped", "failed", "rows/s", "left"):
        table.add_column(name, justify="right", no_wrap=True)
    for s in view.stages:
        bar = ProgressBar(total=max(1, s.total), completed=s.finished, width=bar_width)
        failed = f"[red]{s.failed}[/red]" if s.failed else ""
        rate = f"{s.rate:.1f}" if s.rate and s.total > s.finished else ""
        left = seconds_text(s.eta) if s.total > s.finished else ""
        counts = (str(s.finished), str(s.total), str(s.dropped or ""), failed, rate, left)
        table.add_row(s.stage, *([bar] if has_bars else []), *counts)
    return table


def batches_table(batches: Sequence[BatchAtWork], width: int) -> Table:
    """A row for each of the batches that have longest to go."""
    with_stage = width >= WIDE
    names = (*(["stage"] if with_stage else []), "frames", "speed", "for", "left")
    rows = []
    for batch in batches[:MOST_IN_TABLE]:
        frames, *others = at_work_cells(batch)
        stage = [batch.stage] if with_stage else []
        rows.append([*stage, frames if with_stage else frames.replace(" of ", "/"), *others])
    widths = [max(map(len, column)) + 2 for column in zip(names, *rows, strict=True)]
    table = Table(box=None, pad_edge=False, header_style="dim")
    room = max(6, width - sum(widths))  # for the name, which alone is shortened
    table.add_column("at work", no_wrap=True, overflow="ellipsis", max_width=room)
    for name in names:
        justify: Literal["left", "right"] = "left" if name == "stage" else "right"
        table.add_column(name, justify=justify, no_wrap=True)
    for batch, cells in zip(batches, rows, strict=False):
        what = formatted(batch.path.rpartition("/")[2]) or counted(batch.rows, "row")
        table.add_row(Text(what), *cells)
    if len(batches) > MOST_IN_TABLE:
        table.add_row(f"and {len(batches) - MOST_IN_TABLE} more")
    return table
