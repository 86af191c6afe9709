"""A runner over the small catalog of stages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from curate.worker import runner as module
from curate.worker.runner import Runner
from tests.pipelines import CATALOG, Embed, Heads, Line, Score


@pytest.fixture
def catalog(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The runner knows the stages of tests.pipelines."""
    monkeypatch.setattr(module, "stages", lambda: CATALOG)
    monkeypatch.setattr(module, "_cap_memory", lambda step: None)  # this process runs other tests too
    module.pipeline_of.cache_clear()
    yield
    module.pipeline_of.cache_clear()
    Score.hook = Embed.hook = None
    Heads.seen = []


def run_all(line: Line, *stages: str) -> list[str]:
    """Run these stages, each until nothing of it is ready; returns the reports."""
    runner = Runner(line.settings, line.engine)
    reports = []
    for stage in stages:
        while report := runner.run_one(stage):
            reports.append(str(report))
    return reports
