"""Stages without media for workers that are processes of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from curate.worker import runner
from tests.pipelines import CATALOG
from tests.worker.held import Held

STAGES = {
    "probe": "tests.pipelines:Probe",
    "split": "tests.pipelines:Split",
    "score": "tests.pipelines:Score",
    "held": "tests.worker.held:Held",
}


@pytest.fixture
def plugged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The stages of STAGES for this process, and by entry points for those that it starts; their folder of notes."""
    package = tmp_path / "plugin"
    info = package / "plugin-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin\nVersion: 1\n")
    lines = [f"{name} = {place}" for name, place in STAGES.items()]
    (info / "entry_points.txt").write_text("\n".join(["[curate.stages]", *lines, ""]))
    monkeypatch.setenv("PYTHONPATH", f"{package}:{Path(__file__).parents[2]}")
    monkeypatch.setitem(CATALOG, "held", Held)
    monkeypatch.setattr(runner, "stages", lambda: CATALOG)
    runner.pipeline_of.cache_clear()
    yield package
    runner.pipeline_of.cache_clear()
