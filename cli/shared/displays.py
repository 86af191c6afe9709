"""Shows how far a dataset is: bars on a terminal, lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from curate.cli.shared.output import Console, seconds_text
from curate.db.reports.overview import DatasetView

if TYPE_CHECKING:
    from rich.table import Table

LINE_EVERY = 30.0  # seconds


class Display(Protocol):
    """Shows one view of a dataset after the other."""

    def show(self, view: DatasetView) -> None:
        """Show how far it is."""

    def close(self) -> None:
        """Leave the last view where it is."""


def make_display(console: Console) -> Display:
    """Bars when stderr is a terminal, else lines."""
    if console.quiet or not sys.stderr.isatty():
        return Lines(console)
    return Bars(to_stderr=True)


class Lines:
    """A line on stderr every 30 seconds, for logs."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._due = clock() + LINE_EVERY
        self._last: DatasetView | None = None
        self._printed = ""

    def show(self, view: DatasetView) -> None:
        """Print the view when 30 seconds have passed since the last one."""
        self._last = view
        if self._clock() >= self._due:
            self.close()
            self._due = self._clock() + LINE_EVERY

    def close(self) -> None:
        """Print the last view, unless it was printed."""
        line = progress_line(self._last) if self._last else ""
        if line and line != self._printed:
            self._console.say(f"{time.strftime('%H:%M:%S')} {line}")
        self._printed = line


def progress_line(view: DatasetView) -> str:
    """How far a dataset is, in one line for a log."""
    parts = [f"{s.stage} {s.finished}/{s.total}" for s in view.stages if s.total]
    failed = f" · {view.totals.failed} failed" if view.totals.failed else ""
    left = f" · {seconds_text(view.eta)} left" if view.eta else ""
    return " · ".join(parts) + failed + left


class Bars:
    """A live table on a terminal, one bar for each stage."""

    def __init__(self, to_stderr: bool = False) -> None:
        from rich.console import Console as Terminal
        from rich.live import Live

        self._live = Live(console=Terminal(stderr=to_stderr), auto_refresh=False)
        self._live.start()

    def show(self, view: DatasetView) -> None:
        """Draw the view in place of the last one."""
        self._live.update(bars(view), refresh=True)

    def close(self) -> None:
        """Leave the last view on the screen."""
        self._live.stop()


def bars(view: DatasetView) -> Table:
    """A bar for each stage, with the rows dropped and failed, the rate and the time left."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    table = Table("stage", "", box=None, pad_edge=False, header_style="dim")
    for name in ("done", "of", "dropped", "failed", "rows/s", "left"):
        table.add_column(name, justify="right")
    for s in view.stages:
        bar = ProgressBar(total=max(1, s.total), completed=s.finished, width=24)
        failed = f"[red]{s.failed}[/red]" if s.failed else ""
        rate = f"{s.rate:.1f}" if s.rate and s.total > s.finished else ""
        left = seconds_text(s.eta) if s.total > s.finished else ""
        table.add_row(
            s.stage, bar, str(s.finished), str(s.total), str(s.dropped or ""), failed, rate, left
        )
    return table
