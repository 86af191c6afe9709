"""What every page needs to know: which datasets there are, and which one is shown."""

from __future__ import annotations

from typing import Any

from curate.configs.settings import without_passwords
from curate.view.search import what_is_missing
from curate.view.security import Page
from curate.view.state import Home


def describe(home: Home, name: str) -> dict[str, Any]:
    """The names of all datasets of a home, and of one its state, stages and filters."""
    shown = home.open(name)
    return {
        "datasets": home.names(),
        "dataset": shown.dataset.name,
        "root": without_passwords(shown.dataset.root),
        "state": shown.dataset.state,
        "refiltering": bool(shown.dataset.refiltering),
        "stages": [step.name for step in shown.pipeline.stages],
        "filters": [{"name": f.name, "where": f.where} for f in shown.pipeline.filters],
        "search_lacks": what_is_missing(home, shown),
    }


class Datasets(Page):
    """/api/home"""

    async def get(self) -> None:
        """The datasets, and the one that the argument `dataset` names or that is shown first."""
        self.send_json(await self.work(describe, self.home, self.text("dataset")))


ROUTES = [(r"/api/home", Datasets)]
