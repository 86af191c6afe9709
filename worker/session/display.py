"""Shows how far a dataset is, for whoever has no terminal to draw on: a line now and then."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from curate.configs.shown import counted, formatted, seconds_text
from curate.worker.session.console import Console

if TYPE_CHECKING:  # every command has a home, and not each looks at a dataset
    from curate.db.reports.at_work import BatchAtWork
    from curate.db.reports.overview import DatasetView

LINE_EVERY = 30.0  # seconds
MOST_IN_LINE = 2  # batches at work


class Display(Protocol):
    """Shows one view of a dataset after the other."""

    def show(self, view: DatasetView) -> None:
        """Show how far it is."""

    def close(self) -> None:
        """Leave the last view where it is."""


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
