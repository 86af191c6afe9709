"""Follows a dataset until nothing of it is left to do: keeps the workers going and shows how far it
is.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from curate.cli.shared.database import OpenDataset
from curate.cli.shared.output import Console, counted, seconds_shown
from curate.configs.errors import NeedMissing, ServiceError
from curate.configs.schema import PAUSED
from curate.db.reports.failures import hopeless_stage
from curate.db.reports.overview import DatasetView, Recent, recent, view_dataset
from curate.db.reports.progress import Totals

if TYPE_CHECKING:
    from rich.table import Table

LOOK_SECONDS = 0.3  # at least; more when a look takes long
RATE_EVERY = 3.0
LINE_EVERY = 30.0
AWAY_SECONDS = 600.0


def progress_line(view: DatasetView) -> str:
    """How far a dataset is, in one line for a log."""
    parts = [f"{s.stage} {s.finished}/{s.total}" for s in view.stages if s.total]
    failed = f" · {view.totals.failed} failed" if view.totals.failed else ""
    left = f" · {seconds_shown(view.eta)} left" if view.eta else ""
    return " · ".join(parts) + failed + left


class Watcher:
    """Looks at a dataset again and again; at its last batches less often than at its rows."""

    def __init__(self, opened: OpenDataset) -> None:
        self._opened = opened
        self._recent: Recent | None = None
        self._recent_until = 0.0
        self._since = time.time()

    def look(self) -> DatasetView:
        """How far the dataset is now. Raises NeedMissing when a stage of it cannot work."""
        engine, dataset_id, pipeline = (
            self._opened.engine,
            self._opened.dataset.id,
            self._opened.pipeline,
        )
        if time.monotonic() >= self._recent_until:
            if hopeless := hopeless_stage(engine, dataset_id, self._since):
                raise NeedMissing(stage=hopeless[0], why=hopeless[1])
            self._recent = recent(engine, dataset_id, pipeline)
            self._recent_until = time.monotonic() + RATE_EVERY
        return view_dataset(engine, dataset_id, pipeline, self._recent)


class Display(Protocol):
    """Shows a view, again and again."""

    def show(self, view: DatasetView) -> None:
        """Show how far it is."""

    def close(self) -> None:
        """Leave the last view where it is."""


class Lines:
    """A line on stderr now and then, for logs."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._due = clock() + LINE_EVERY
        self._last: DatasetView | None = None
        self._said = ""

    def show(self, view: DatasetView) -> None:
        """Print the view when 30 seconds have passed since the last one."""
        self._last = view
        if self._clock() >= self._due:
            self._print()

    def close(self) -> None:
        """Print the last view."""
        self._print()

    def _print(self) -> None:
        line = progress_line(self._last) if self._last else ""
        if line and line != self._said:
            self._console.say(f"{time.strftime('%H:%M:%S')} {line}")
        self._said = line
        self._due = self._clock() + LINE_EVERY


class Bars:
    """A live table on a terminal, one bar a stage."""

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
    """A bar a stage: how far, and how many were dropped or failed, its rate and what is left."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    table = Table("stage", "", box=None, pad_edge=False, header_style="dim")
    for name in ("done", "of", "dropped", "failed", "rows/s", "left"):
        table.add_column(name, justify="right")
    for s in view.stages:
        bar = ProgressBar(total=max(1, s.total), completed=s.finished, width=24)
        failed = f"[red]{s.failed}[/red]" if s.failed else ""
        rate = f"{s.rate:.1f}" if s.rate and s.total > s.finished else ""
        left = seconds_shown(s.eta) if s.total > s.finished else ""
        table.add_row(
            s.stage, bar, str(s.finished), str(s.total), str(s.dropped or ""), failed, rate, left
        )
    return table


def display_for(console: Console) -> Display:
    """Bars on a terminal, else lines."""
    if console.quiet or not sys.stderr.isatty():
        return Lines(console)
    return Bars(to_stderr=True)


STALL_SECONDS = 120.0


class _Stall:
    """Notices that nothing moves."""

    def __init__(self, console: Console, hint: str) -> None:
        self._console = console
        self._hint = hint
        self._seen: object = None
        self._since = time.monotonic()

    def look(self, view: DatasetView) -> None:
        """Say so, once in a while, when no row finished; later while rows are at work, for they may
        be long.
        """
        seen = [(s.finished, s.total) for s in view.stages]
        patience = STALL_SECONDS * (5 if any(s.running for s in view.stages) else 1)
        waited = time.monotonic() - self._since
        if seen != self._seen:
            self._seen, self._since = seen, time.monotonic()
        elif waited > patience:
            why = "it is paused; go on with: curate resume" if view.state == PAUSED else self._hint
            self._console.warn(f"no row finished for {seconds_shown(waited)}; {why}")
            self._since = time.monotonic()


def follow(
    opened: OpenDataset, tick: Callable[[], None], console: Console, hint: str
) -> DatasetView:
    """Call `tick` and show the dataset until nothing more of it will be done; returns the last
    view.

    A database that does not answer is waited for, AWAY_SECONDS at most.
    """
    watcher = Watcher(opened)
    display = display_for(console)
    stall = _Stall(console, hint)
    told: set[str] = set()
    away = 0.0  # since when the database does not answer
    try:
        while True:
            tick()
            started = time.monotonic()
            try:
                view = watcher.look()
            except NeedMissing:
                raise
            except ServiceError as error:
                away = away or _away_from(console, error)
                if time.monotonic() - away > AWAY_SECONDS:
                    raise
                time.sleep(LOOK_SECONDS)
                continue
            away = 0.0
            display.show(view)
            stall.look(view)
            told = _tell_held_up(console, view, told)
            if view.over:
                return view
            took = time.monotonic() - started
            _pass(
                max(LOOK_SECONDS, 10 * took), tick
            )  # a look at a large dataset must not become the work
    finally:
        display.close()


def _away_from(console: Console, error: Exception) -> float:
    """Warn that the database does not answer; returns when that was."""
    console.warn(f"{error}; trying again")
    return time.monotonic()


def _tell_held_up(console: Console, view: DatasetView, told: set[str]) -> set[str]:
    """Warn of each stage that is newly held up; returns what is held up now."""
    held = {f"{b.stage} is held up: {b.message}" for b in view.blocked}
    for line in sorted(held - told):
        console.warn(line)
    return held


def _pass(seconds: float, tick: Callable[[], None]) -> None:
    """Let the time go by while the workers are kept going."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(LOOK_SECONDS, left))
        if left > LOOK_SECONDS:
            tick()


def summary(totals: Totals) -> str:
    """One line: how many videos and clips there are and what became of them."""
    shares = totals.shares()
    parts = " · ".join(f"{name} {share:.1f} %" for name, share in shares.items())
    return f"{parts}      {counted(totals.videos, 'video')} · {counted(totals.clips, 'clip')}"
