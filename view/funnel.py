"""The page Funnel: what came into each step, and what became of it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from curate.configs.errors import ConfigError, NoInput, ServiceError
from curate.db.picks import count_picks
from curate.db.reports.frames import count_frames
from curate.db.reports.funnel import rows_of_view
from curate.db.reports.overview import view_dataset
from curate.db.schema import PICKED
from curate.tasks.inputs.files import PassedOver, Search
from curate.tasks.inputs.find import find_inputs
from curate.tasks.inputs.paths import is_url
from curate.tasks.registry import stages
from curate.view.security import Page
from curate.view.state import Home

LONGEST_SEARCH = 20.0  # seconds that a source is searched for files that were skipped


def describe(home: Home, name: str) -> dict[str, Any]:
    """The rows of the funnel as `curate filter --json` has them, each with the reasons why rows
    ended there; and how all rows ended, as `curate status` says it.
    """
    shown = home.open(name)
    view = view_dataset(shown.engine, shown.dataset.id, shown.pipeline)
    frames = count_frames(shown.engine, shown.dataset.id)
    picks = count_picks(shown.engine, shown.dataset.id)
    filters = {PICKED, *(step.name for step in shown.pipeline.filters)}
    reasons: dict[str, list[dict[str, Any]]] = {}
    for count in view.counts:
        if count.status in ("dropped", "failed") and count.reason not in filters:
            reasons.setdefault(f"{count.stage} {count.level}s", []).append(
                {"status": count.status, "reason": count.reason, "rows": count.rows}
            )
    rows = [
        {**row, "reasons": reasons.get(f"{row['step']} {row['rows']}", [])}
        for row in rows_of_view(view, frames, shown.pipeline, picks)
    ]
    totals = view.totals
    return {
        "as_of": time.time(),
        "state": view.state,
        "rows": rows,
        "totals": {
            "videos": totals.videos,
            "clips": totals.clips,
            "kept": totals.kept,
            "dropped": totals.dropped,
            "failed": totals.failed,
            "active": totals.active,
        },
    }


class _CountInTime(PassedOver):
    """Counts as its base does, and raises TimeoutError once the time is past `end`."""

    end = 0.0

    def count_others(self, paths: Iterable[str], listing: Iterable[str]) -> None:
        super().count_others(paths, listing)
        self.check()

    def check(self) -> None:
        if time.monotonic() > self.end:
            raise TimeoutError


def count_skipped(home: Home, name: str) -> dict[str, Any]:
    """Count the files in a dataset's folder that an enqueue skips, by suffix.

    The database knows nothing of them, so this searches the folder. `whole` is False, and `why`
    gives the reason, if the search took too long or was not possible.
    """
    shown = home.open(name)
    root = shown.dataset.root
    if is_url(root) or not Path(root).is_dir():
        return {"skipped": {}, "whole": False, "why": "it is not a folder on this host"}
    own = frozenset({str(home.settings.folder), str(home.settings.clips)})
    passed_over = _CountInTime()
    passed_over.end = time.monotonic() + LONGEST_SEARCH
    why = ""
    try:
        # pictures count as inputs: whether they join would take a second search
        for _ in find_inputs(root, passed_over, Search(pictures=True, own=own)):
            passed_over.check()
    except TimeoutError:
        why = f"the search was stopped after {LONGEST_SEARCH:g} s"
    except (NoInput, ConfigError, ServiceError) as error:
        why = home.advise(str(error), name)
    beside = {e for s in shown.pipeline.stages for e in stages()[s.name].reads_beside(s.options)}
    return {"skipped": passed_over.skipped(beside), "whole": not why, "why": why}


class Funnel(Page):
    """/api/funnel"""

    async def get(self) -> None:
        """What came into each step, as it is now."""
        self.send_json(await self.work(describe, self.home, self.text("dataset")))


class Skipped(Page):
    """/api/skipped"""

    async def get(self) -> None:
        """The files in the dataset's folder that were skipped."""
        name = self.text("dataset")
        self.send_json(await self.work_in(self.pools.patient, count_skipped, self.home, name))


ROUTES = [(r"/api/funnel", Funnel), (r"/api/skipped", Skipped)]
