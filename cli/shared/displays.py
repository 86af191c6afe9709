"""Shows how far a dataset is: bars on a terminal, lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, Protocol

from curate.cli.shared.output import Console, counted, formatted, seconds_text
from curate.db.reports.at_work import BatchAtWork
from curate.db.reports.overview import DatasetView

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

LINE_EVERY = 30.0  # seconds
MOST_IN_LINE, MOST_IN_TABLE = 2, 8  # batches at work
NUMBERS_WIDTH, NARROWEST_BAR, WIDE = 64, 6, 70  # columns


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
        self._began = clock()
        self._due = self._began + LINE_EVERY
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
            elapsed = f"after {seconds_text(self._clock() - self._began)}"
            self._console.say(f"{time.strftime('%H:%M:%S')} {elapsed}: {line}")
        self._printed = line


def progress_line(view: DatasetView) -> str:
    """How far a dataset is, in one line for a log."""
    parts = [f"{s.stage} {s.finished}/{s.total}" for s in view.stages if s.total]
    parts += [f"{view.totals.failed} failed"] if view.totals.failed else []
    parts += [time_left(view)] if time_left(view) else []
    shown = view.at_work[:MOST_IN_LINE]
    parts += [f"at work: {'; '.join(at_work_text(batch) for batch in shown)}"] if shown else []
    more = len(view.at_work) - len(shown)
    return " · ".join(parts) + (f"; {more} more" if more else "")


def time_left(view: DatasetView) -> str:
    """The time until all of a dataset is done, as far as it can be told; else empty."""
    if view.eta:
        return f"{seconds_text(view.eta)} left"
    return f"over {seconds_text(view.eta_at_least)} left" if view.eta_at_least else ""


def at_work_text(batch: BatchAtWork) -> str:
    """How far a batch is, in a few words."""
    what = formatted(batch.path) or counted(batch.rows, "row")
    frames, speed, spent, left = at_work_cells(batch)
    parts = [f"{frames} frames" if frames else "", speed, f"for {spent}", left and f"{left} left"]
    return f"{batch.stage} {what}: {', '.join(part for part in parts if part)}"


def at_work_cells(batch: BatchAtWork) -> tuple[str, str, str, str]:
    """Frames done, speed, time spent and time left; empty where they are not known."""
    frames = counted_of(batch.frames, batch.of_frames) if batch.frames else ""
    speed = ""
    if batch.speed is not None:
        speed = f"{batch.speed:.1f}x" if batch.speed < 100 else f"{batch.speed:.0f}x"
    elif batch.frame_rate is not None:
        speed = f"{batch.frame_rate:.0f}/s"
    spent = seconds_text(batch.row_seconds or batch.seconds)
    return frames, speed, spent, seconds_text(batch.eta)


def counted_of(done: int, of: int | None) -> str:
    """`12 345 of 90 000`."""
    return f"{done:,} of {of:,}".replace(",", " ") if of else f"{done:,}".replace(",", " ")


class Bars:
    """A live table on a terminal, one bar for each stage."""

    def __init__(self, to_stderr: bool = False) -> None:
        from rich.console import Console as Terminal
        from rich.live import Live

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
    from rich.console import Group
    from rich.text import Text

    left = time_left(view)
    last = f"{seconds_text(elapsed)} elapsed{f' · {left}' if left else ''}"
    at_work = [batches_table(view.at_work, width)] if view.at_work else []
    return Group(bars(view, width), *at_work, Text(last, style="dim"))


def bars(view: DatasetView, width: int = 100) -> Table:
    """A bar for each stage, with the rows dropped and failed, the rate and the time left."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table

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
    from rich.table import Table
    from rich.text import Text

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
