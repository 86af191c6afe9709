"""Follows a dataset until nothing of it is left: keeps the workers going, shows how far it is."""

from __future__ import annotations

import time
from collections.abc import Callable

from curate.configs.errors import BudgetSpent, NeedMissing, ServiceError, UsageError
from curate.configs.schema import PAUSED
from curate.configs.settings import Settings
from curate.configs.shown import seconds_text
from curate.db.engine import row_is_gone
from curate.db.reports.failures import hopeless_stage
from curate.db.reports.overview import DatasetView, Recent, recent, view_dataset
from curate.worker.progress import batches_at_work
from curate.worker.session.console import Console
from curate.worker.session.database import OpenDataset
from curate.worker.session.home import HomeSession

# all in seconds
LOOK_EVERY = 0.3  # at least; more when a look takes long
RECENT_EVERY = 3.0
STALL_AFTER = 120.0
AWAY_AT_MOST = 600.0


def follow(
    watcher: Watcher, tick: Callable[[], None], session: HomeSession, hint: str
) -> DatasetView:
    """Call `tick` and show the dataset until nothing more of it will be done.

    Returns the last view. Waits AWAY_AT_MOST for a database that does not answer, then raises
    ServiceError. Raises NeedMissing when a stage cannot work, or has spent its budget. `hint` says
    where to look when nothing moves.
    """
    console, display = session.console, session.display()
    stall = Stall(console, hint)
    blocked: set[str] = set()
    away_since = 0.0  # when the database answers no more
    try:
        while True:
            tick()
            started = time.monotonic()
            try:
                view = watcher.look()
            except NeedMissing:
                raise
            except ServiceError as error:
                if row_is_gone(error):
                    what = (
                        "The dataset was deleted meanwhile. See the others with: `curate datasets`"
                    )
                    raise UsageError(what=what) from None
                if not away_since:
                    console.warn(f"{error}; trying again")
                    away_since = time.monotonic()
                if time.monotonic() - away_since > AWAY_AT_MOST:
                    raise
                time.sleep(LOOK_EVERY)
                continue
            away_since = 0.0
            display.show(view)
            stall.look(view)
            warned, blocked = blocked, {f"{b.stage} is blocked: {b.message}" for b in view.blocked}
            for line in sorted(blocked - warned):
                console.warn(line)
            if view.over:
                return view
            if view.state == PAUSED:
                for b in view.blocked:
                    if b.reason == BudgetSpent.__name__:
                        raise NeedMissing(stage=b.stage, why=b.message)
            # a look at a large dataset must not become the work
            wait(max(LOOK_EVERY, 10 * (time.monotonic() - started)), tick)
    finally:
        display.close()


def wait(seconds: float, tick: Callable[[], None]) -> None:
    """Let the time pass while the workers are kept going."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(LOOK_EVERY, left))
        if left > LOOK_EVERY:
            tick()


class Watcher:
    """Looks at a dataset again and again; at its last batches less often than at its rows."""

    def __init__(self, opened: OpenDataset, settings: Settings) -> None:
        self._opened = opened
        self._settings = settings
        self._recent: Recent | None = None
        self._recent_until = 0.0
        self._since = time.time()

    def look(self) -> DatasetView:
        """How far the dataset is now. Raises NeedMissing when a stage of it cannot work."""
        engine, pipeline = self._opened.engine, self._opened.pipeline
        dataset_id = self._opened.dataset.id
        at_work = batches_at_work(self._settings, dataset_id)
        if time.monotonic() >= self._recent_until:
            if hopeless := hopeless_stage(engine, dataset_id, self._since):
                raise NeedMissing(stage=hopeless[0], why=hopeless[1])
            started = time.monotonic()
            long_stages = {batch.stage for batch in at_work if batch.speed}
            self._recent = recent(engine, dataset_id, pipeline, long_stages)
            took = time.monotonic() - started
            self._recent_until = time.monotonic() + max(RECENT_EVERY, 20 * took)
        return view_dataset(engine, dataset_id, pipeline, self._recent, at_work)


class Stall:
    """Notices that nothing moves."""

    def __init__(self, console: Console, hint: str) -> None:
        self._console = console
        self._hint = hint
        self._counts: object = None
        self._since = time.monotonic()

    def look(self, view: DatasetView) -> None:
        """Warn once in a while when no row finished and no frame was done; later while rows are at
        work.

        A row at work may take long.
        """
        counts = ([(s.finished, s.total) for s in view.stages], [b.frames for b in view.at_work])
        stalled_after = STALL_AFTER * (5 if any(s.running for s in view.stages) else 1)
        waited = time.monotonic() - self._since
        if counts != self._counts:
            self._counts, self._since = counts, time.monotonic()
        elif waited > stalled_after:
            paused = "it is paused; go on with: `curate resume DATASET`"
            why = paused if view.state == PAUSED else self._hint
            self._console.warn(f"no row finished for {seconds_text(waited)}; {why}")
            self._since = time.monotonic()
